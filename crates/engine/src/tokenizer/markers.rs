//! Which tokens mark the bounds of turns and texts, whatever a file says of them: only templates may write these.
//!
//! Files call some of them user-defined, or ordinary; taken at their word, a message could end its own turn.

/// Whether a token that was added to a vocabulary is a marker. `<think>` and `<tool_call>` are none: they mark up the
/// inside of a turn, and templates cut messages at them.
pub(super) fn added(text: &str) -> bool {
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let capital = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || "_/ ".contains(letter);
    known(text) || bracketed.is_some_and(|name| !name.is_empty() && name.chars().all(capital))
}

/// Whether a token is a marker even where a file calls it ordinary.
pub(super) fn known(text: &str) -> bool {
    const NAMES: [&str; 12] = [
        "<start_of_turn>",
        "<end_of_turn>",
        "<bos>",
        "<eos>",
        "<s>",
        "<EOT>",
        "_<EOT>",
        "[EOT]",
        "[EOS]",
        "<end_of_utterance>",
        "[e~[",
        "]~b]",
    ];
    NAMES.contains(&text) || barred(text)
}

/// `<|name|>`, with the bar on one side at least, of either width.
fn barred(text: &str) -> bool {
    let Some(inside) = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')) else { return false };
    let name = inside.trim_matches(['|', '｜']);
    let plain = |letter: char| letter.is_alphanumeric() || "_-▁:. ".contains(letter);
    name.len() < inside.len() && !name.is_empty() && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_turns_are_markers_and_what_stands_inside_of_them_is_not() {
        for text in ["<|im_end|>", "<｜User｜>", "<|turn>", "<turn|>", "<end_of_turn>", "<|START_OF_TURN_TOKEN|>"] {
            assert!(known(text), "{text}");
        }
        assert!(added("[INST]") && added("[/INST]") && added("[PAD151646]") && !known("[INST]"));
        for text in ["<think>", "</think>", "<tool_call>", "<|\"|>", "    ", "õ", "a<|b|>", "<||>", "[a]", "[]"] {
            assert!(!added(text), "{text}");
        }
    }
}
