//! The rules of the repository itself: what its files may name, how long they may be, what they may weigh.

mod rules;
mod source;

use std::{fs, path::Path};

use tessera_tests::{model::files_below, root};

use source::Source;

/// Asserts that a rule found nothing to say.
fn clean(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}

#[test]
fn pure_folders_have_no_outside() {
    let sources = Source::all();
    let pure = sources.iter().filter(|source| source.is_pure());
    let faults: Vec<_> = pure.flat_map(rules::impure).collect();
    clean("pure folders hold no I/O, async, clock or global", &faults);
}

/// A rule that finds nothing anywhere may be a rule that looks nowhere.
#[test]
fn the_rules_see_what_they_are_made_for() {
    let sources = Source::all();
    assert!(30 < sources.iter().filter(|source| source.is_pure()).count());
    let impure = sources.iter().find(|source| source.path == "coordinator/src/rpc/jobs.rs");
    assert!(!rules::impure(impure.expect("the file is there")).is_empty());
    let wire = sources.iter().find(|source| source.path == "worker/src/link.rs");
    assert!(rules::names_wire(wire.expect("the file is there")));
    let text = "//! A.\n\n#[cfg(test)]\nmod tests {\n    x.unwrap()\n}\n";
    assert_eq!(Source::new("a/src/b.rs", text).body().len(), 2);
}

#[test]
fn wire_types_stay_at_the_edge() {
    let sources = Source::all();
    let faults = sources.iter().filter(|source| !source.is_edge() && rules::names_wire(source));
    clean(
        "wire types are named in conversions, rpc/, link.rs and the cli's client alone",
        &faults.map(|source| source.path.clone()).collect::<Vec<_>>(),
    );
}

#[test]
fn every_file_says_what_goes_in_and_out() {
    let sources = Source::all();
    let faults = sources.iter().filter(|source| !source.text.starts_with("//! "));
    clean("a file begins with //!", &faults.map(|source| source.path.clone()).collect::<Vec<_>>());
}

#[test]
fn files_are_short() {
    const MOST: usize = 400;
    let long = |source: &Source| {
        let lines = source.body().len();
        (MOST < lines).then(|| format!("{}: {lines} lines before its tests", source.path))
    };
    let faults: Vec<_> = Source::all().iter().filter_map(long).collect();
    clean("a file has at most 400 lines before its tests", &faults);
}

#[test]
fn nothing_is_left_to_do() {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let mut faults = Vec::new();
    for (path, text) in source::texts() {
        let named = |line: &&str| words.iter().any(|word| rules::has_word(line, word));
        faults.extend(text.lines().filter(named).map(|line| format!("{path}: {}", line.trim())));
    }
    clean("nothing is left to do", &faults);
}

#[test]
fn no_unwrap_outside_tests() {
    let faults =
        Source::all().iter().flat_map(|source| rules::lines_with(source, ".unwrap()")).collect::<Vec<_>>();
    clean("expect says why, unwrap does not", &faults);
}

#[test]
fn no_test_is_ignored() {
    let mark = concat!("#[", "ignore");
    let holds = |(path, text): (String, String)| text.contains(mark).then_some(path);
    clean(
        "a test that does not run is none",
        &source::texts().into_iter().filter_map(holds).collect::<Vec<_>>(),
    );
}

#[test]
fn data_in_the_repository_stays_small() {
    let weigh = |folder: &str| -> u64 {
        let files = files_below(&root().join(folder));
        assert!(!files.is_empty(), "{folder} is empty");
        files.iter().map(|file| fs::metadata(file).expect("a file").len()).sum()
    };
    for (folder, most) in
        [("tests/oracle/golden", 5_000_000), ("tests/models", 12 << 20), ("deploy/models/demo", 16 << 20)]
    {
        let bytes = weigh(folder);
        assert!(bytes < most, "{folder} has {bytes} bytes, at most {most} are allowed");
    }
}

#[test]
fn the_architecture_fits_two_pages() {
    const MOST: usize = 150;
    let path = root().join("README.md");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let is_head = |line: &&str| line.starts_with("## ");
    let section = text.lines().skip_while(|line| !(is_head(line) && line.contains("Architecture")));
    let lines = section.skip(1).take_while(|line| !is_head(line)).count();
    assert!(0 < lines, "the README has no section on the architecture");
    assert!(lines < MOST, "the README's architecture has {lines} lines, fewer than {MOST} are wanted");
}

/// The README's files and folders exist.
#[test]
fn the_readme_names_what_is_there() {
    let text = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    let absent = local.filter(|target| !Path::new(&root()).join(target).exists());
    clean("links lead somewhere", &absent.map(ToOwned::to_owned).collect::<Vec<_>>());
}
