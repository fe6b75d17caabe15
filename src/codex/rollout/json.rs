//! A JSON object whose members stay raw until they are asked for.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A string that borrows from the input unless it contains escapes. serde only borrows a `Cow`
/// that is marked, hence the wrapper.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// One level of a JSON object. A member of an unexpected type reads as absent, so one odd field
/// never hides the others.
pub(super) struct RawObject<'a>(BTreeMap<Text<'a>, &'a RawValue>);

impl<'a> RawObject<'a> {
    /// `None` when `json` is not one JSON object.
    pub(super) fn parse(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok().map(Self)
    }

    /// The member as JSON text; `None` when absent or `null`.
    pub(super) fn raw(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).map(|value| value.get()).filter(|json| *json != "null")
    }

    /// The member if it is a string.
    pub(super) fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        text(self.raw(key)?)
    }

    /// The member if it is a string, owned.
    pub(super) fn string(&self, key: &str) -> Option<String> {
        self.text(key).map(Cow::into_owned)
    }

    /// The member if it is an integer.
    pub(super) fn integer(&self, key: &str) -> Option<i64> {
        self.raw(key)?.parse().ok()
    }

    /// The member if it is an object.
    pub(super) fn object(&self, key: &str) -> Option<RawObject<'a>> {
        RawObject::parse(self.raw(key)?)
    }

    /// The objects of an array member; empty when it is no array.
    pub(super) fn objects(&self, key: &str) -> Vec<RawObject<'a>> {
        let items: Vec<&'a RawValue> =
            self.raw(key).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        items.into_iter().filter_map(|item| RawObject::parse(item.get())).collect()
    }

    /// The first member name, in alphabetical order.
    pub(super) fn first_key(&self) -> Option<String> {
        self.0.keys().next().map(|key| key.0.to_string())
    }
}

/// JSON text as a string, if it is one.
pub(super) fn text(json: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(json).ok().map(|text| text.0)
}
