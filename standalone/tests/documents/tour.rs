//! README.md and README.ru.md show the tour of docs/tour.sh, which the end-to-end stories run.

#[test]
fn the_readme_shows_the_tour_word_for_word_in_both_languages() {
    let script = read("docs/tour.sh");
    let tour = between(&script, "# --- the tour begins ---", "# --- the tour ends ---");
    for name in ["README.md", "README.ru.md"] {
        let readme = read(name);
        let shown = between(&readme, "<!-- tour begins -->", "<!-- tour ends -->");
        // Prose may stand between the commands.
        let commands: String = shown.split("```bash\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert_eq!(lines(&commands), lines(tour), "{name} and docs/tour.sh differ");
    }
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.is_empty()).collect()
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("the mark {begin:?} is missing"));
    rest.split_once(end).unwrap_or_else(|| panic!("the mark {end:?} is missing")).0
}

fn read(path: &str) -> String {
    std::fs::read_to_string(super::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
