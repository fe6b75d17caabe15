//! `conveyor loop-triggers --classify`

use serde_json::Value;

use super::show::Show;
use crate::actors::calls::loops::{Classified, LoopTriggersArgs, LoopTriggersReply};

impl Show for LoopTriggersArgs {
    /// What a prompt asks for, in words; the list is always JSON.
    fn text(&self, reply: &LoopTriggersReply) -> Option<String> {
        match reply {
            LoopTriggersReply::Classified(classified) => Some(words(classified)),
            LoopTriggersReply::Listed { .. } => None,
        }
    }
}

fn words(classified: &Classified) -> String {
    let Some(trigger) = &classified.matched_trigger else {
        return format!("No trigger matched. {}", classified.guidance);
    };
    let text = |field: &str| trigger[field].as_str().unwrap_or_default();
    let mut lines = vec![
        format!("Matched {}: {}", text("name"), text("canonical_phrase")),
        format!("Intent: {}", text("intent")),
        "Operator actions:".to_owned(),
    ];
    let actions = trigger["operator_actions"].as_array().into_iter().flatten().filter_map(Value::as_str);
    lines.extend(actions.map(|action| format!("- {action}")));
    lines.join("\n")
}
