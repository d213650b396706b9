//! What may stand in a name that people are shown: one rule for people's names and for clients'.

/// Is this a character that people do not see, or that turns the direction of what stands beside it? A name with one
/// reads otherwise than it is written: as somebody else's.
///
/// These are Unicode's format characters (category Cf), its line and paragraph separators, and the letters and signs that
/// are blank: what joins or parts letters is among them, though some scripts have a use for it.
pub fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{8e2}' | '\u{180e}' | '\u{feff}'
            | '\u{600}'..='\u{605}' | '\u{890}'..='\u{891}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{e0000}'..='\u{e0fff}'
            // Blank letters: Hangul's fillers, and Braille without a dot.
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_or_turns_the_direction_is_deceptive_and_what_people_write_is_not() {
        for c in
            ['\u{202e}', '\u{2066}', '\u{200b}', '\u{200d}', '\u{200f}', '\u{feff}', '\u{ad}', '\u{2028}', '\u{3164}']
        {
            assert!(is_deceptive(c), "{c:?}");
        }
        for c in "Ann-Marie O’Neill, Мария, 山田, שלום, علي, Ægir é ñ ☕".chars() {
            assert!(!is_deceptive(c), "{c:?}");
        }
    }
}
