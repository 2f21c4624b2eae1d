//! Server-sent events, written one after another.

use serde::Serialize;

/// Events that are ready to leave.
#[derive(Default)]
pub struct Events(String);

impl Events {
    /// An event of nothing but data: its JSON, or a word.
    pub fn data(&mut self, data: &str) {
        self.0.push_str("data: ");
        self.0.push_str(data);
        self.0.push_str("\n\n");
    }

    pub fn json(&mut self, data: &impl Serialize) {
        self.data(&json(data));
    }

    /// An event with a name.
    pub fn named(&mut self, name: &str, data: &str) {
        self.0.push_str("event: ");
        self.0.push_str(name);
        self.0.push('\n');
        self.data(data);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All events so far, as they go onto the wire.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.0)
    }
}

/// Compact JSON.
pub(crate) fn json(value: &impl Serialize) -> String {
    // Keys are text and numbers are finite: nothing here can fail to be written.
    serde_json::to_string(value).unwrap_or_default()
}
