//! Commands whose answer is JSON with or without `--json`.

use super::show::Show;
use crate::actors::calls::{bindings, discover, registration, sessions};

impl Show for bindings::BindArgs {}
impl Show for bindings::UnbindArgs {}
impl Show for discover::DiscoverArgs {}
impl Show for registration::RegisterManagerArgs {}
impl Show for registration::RegisterWorkerArgs {}
impl Show for sessions::DeregisterArgs {}
impl Show for sessions::SessionsArgs {}
