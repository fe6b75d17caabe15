//! Enums whose variants are words: the same in the database, in JSON and on the command line.

/// Defines such an enum, with `ALL`, `as_str`, `Display` and `FromStr`.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$about_variant:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord,
            serde::Serialize, serde::Deserialize, schemars::JsonSchema, clap::ValueEnum,
        )]
        pub enum $name {
            $($(#[$about_variant])* #[serde(rename = $word)] #[value(name = $word)] $variant,)*
        }

        impl $name {
            /// Every variant, in the order of the contract.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::words::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|known| known.as_str() == word)
                    .ok_or_else(|| $crate::domain::words::UnknownWord(word.to_owned()))
            }
        }
    };
}
pub(crate) use words;

/// A word that none of an enum's variants has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown word {0:?}")]
pub struct UnknownWord(pub String);

#[cfg(test)]
mod tests {
    words! {
        /// A light.
        Light {
            /// Go.
            Green = "green-light",
            /// Wait.
            Red = "red",
        }
    }

    #[test]
    fn a_word_is_the_same_everywhere() {
        use clap::ValueEnum;
        for light in Light::ALL {
            let word = light.as_str();
            assert_eq!(word.parse(), Ok(*light));
            assert_eq!(serde_json::to_value(light).unwrap(), word);
            assert_eq!(Light::from_str(word, false), Ok(*light));
        }
        assert_eq!(format!("{:<6}|", Light::Red), "red   |");
        assert_eq!("blue".parse::<Light>().unwrap_err().to_string(), "unknown word \"blue\"");
    }
}
