//! What comes with the program beside its help: completions for shells, and manual pages.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use tessera_tests::{model::files_below, program, root};

fn run(words: &[&str]) -> String {
    let output = program::command().args(words).output().expect("the program starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn each_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell]);
        for word in ["render", "hires-width", "completions"] {
            assert!(script.contains(word), "{word} is missing for {shell}");
        }
    }
    // bash is everywhere where the tests run; it must be able to read what it gets.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("tessera.bash");
    fs::write(&path, run(&["completions", "bash"])).expect("a temporary file");
    let line = "source \"$0\"; COMP_WORDS=(tessera sub); COMP_CWORD=1; _tessera tessera sub; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", line]).arg(&path).output().expect("there is bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "submit", "{output:?}");
    let unknown = program::command().args(["completions", "basch"]).output().expect("the program starts");
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
}

/// The names of all commands.
fn names() -> Vec<String> {
    let help = run(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
    let names: Vec<_> =
        commands.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect();
    assert!(15 < names.len(), "{names:?}");
    names
}

#[test]
fn each_command_gets_its_page() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pages = folder.path().join("man/man1");
    run(&["man", pages.to_str().expect("a name in UTF-8")]);
    let page =
        |name: &str| fs::read_to_string(pages.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    for name in names().into_iter().filter(|name| *name != "help") {
        let page = page(&format!("tessera-{name}.1"));
        assert!(
            page.contains(&format!("tessera\\-{name}")) || page.contains(&format!("tessera {name}")),
            "{page}"
        );
    }
    assert!(page("tessera.1").contains("130  interrupted"));
    assert!(page("tessera-model-inspect.1").contains("content hash"));
    assert!(page("tessera-render.1").contains("negative"));
}

/// The flags of every `tessera` command in the README and in the files for deployment are those that it has.
#[test]
fn what_is_written_about_commands_is_true() {
    let mut files = files_below(&root().join("deploy"));
    files.retain(|path| !path.starts_with(root().join("deploy/models")));
    files.push(root().join("README.md"));
    let names = names();
    let mut helps = BTreeMap::new();
    let mut known = |command: &[String], flag: &str| {
        let help = helps.entry(command.to_vec()).or_insert_with(|| {
            let words: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
            run(&words)
        });
        help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(|word| word == flag)
    };
    let mut seen = BTreeSet::new();
    for path in files {
        // Pictures are no text.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let file = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
        for (command, flags) in commands(&text) {
            // A word behind our name need not be a command.
            for flag in flags.into_iter().filter(|_| names.contains(&command[0])) {
                assert!(known(&command, &flag), "{file}: tessera {} has no {flag}", command.join(" "));
                seen.insert((command.clone(), flag));
            }
        }
        // In YAML a command's words are the items of a list.
        let items = text.lines().filter_map(|line| line.trim().strip_prefix("- "));
        let items = items.map(|item| item.trim_matches('"')).filter(|item| item.starts_with("--"));
        for flag in items.filter_map(flag_of) {
            let of = ["coordinator", "worker"].into_iter().find(|name| known(&[(*name).to_owned()], &flag));
            let command = of.unwrap_or_else(|| panic!("{file}: no {flag} is known"));
            seen.insert((vec![command.to_owned()], flag));
        }
    }
    for (command, flag) in [("coordinator", "--tls"), ("worker", "--device"), ("submit", "--batch")] {
        assert!(
            seen.contains(&(vec![command.to_owned()], flag.to_owned())),
            "{command} {flag} was not found"
        );
    }
    assert!(50 < seen.len(), "{} flags were found: {seen:?}", seen.len());
}

/// The `tessera` commands in a text, with their flags.
fn commands(text: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().flat_map(|line| line.split('`'));
    lines.filter_map(command).collect()
}

fn command(line: &str) -> Option<(Vec<String>, Vec<String>)> {
    // What is quoted is a value, perhaps another program's command.
    let line: String = line.split('"').step_by(2).collect();
    let mut words =
        line.split_whitespace().skip_while(|word| *word != "tessera" && !word.ends_with("/tessera"));
    // `sudo -u tessera tessera token` has our name twice.
    let top = words.find(|word| *word != "tessera" && !word.ends_with("/tessera"))?;
    let mut command = vec![top.to_owned()];
    let mut words = words.peekable();
    if ["token", "model", "bench"].contains(&top) {
        command.push(words.next_if(|word| word.chars().all(|c| c.is_ascii_lowercase()))?.to_owned());
    }
    let own = words.take_while(|word| !["#", "|", ">", "&&", ";"].contains(word));
    Some((command, own.filter_map(flag_of).collect()))
}

/// A flag without its value and what else hangs on it.
fn flag_of(word: &str) -> Option<String> {
    let name = word.strip_prefix("--")?;
    let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(name.len());
    (0 < end).then(|| format!("--{}", &name[..end]))
}
