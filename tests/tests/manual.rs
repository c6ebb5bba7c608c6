//! What comes with the program beside its help: completions for shells, and manual pages.

use std::{fs, process::Command};

use tessera_tests::program;

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

#[test]
fn each_command_gets_its_page() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pages = folder.path().join("man/man1");
    run(&["man", pages.to_str().expect("a name in UTF-8")]);
    let page =
        |name: &str| fs::read_to_string(pages.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let help = run(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
    let names: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(15 < names.len(), "{names:?}");
    for name in names.into_iter().filter(|name| *name != "help") {
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
