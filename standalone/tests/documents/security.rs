//! docs/SECURITY.md: each attack on the hosted pages, and the test that refuses it.

use super::conformance::all_tests;

#[test]
fn each_attack_on_the_pages_names_a_test_that_is_there() {
    let page = std::fs::read_to_string(super::root().join("docs/SECURITY.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("The hosted pages")).expect("its section");
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let (tests, _) = all_tests();
    let mut wrong = vec![];
    let mut named = 0;
    for row in rows {
        let cell = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap_or_default();
        let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            wrong.push(format!("no test: {row}"));
        }
        wrong.extend(names.iter().filter(|name| !tests.contains_key(**name)).map(|name| format!("there is no {name}")));
        named += names.len();
    }
    assert!(named > 20, "the table is read");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
