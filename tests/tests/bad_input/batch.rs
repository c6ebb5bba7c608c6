//! Job files and batches that cannot be used.

use tessera_tests::{process::Running, program, render::Render};

use super::{refused, says, sentence};

fn with_job(text: &[u8]) -> String {
    refused(Render::words(["--output", "out.png", "--job", "job.toml"]).file("job.toml", text))
}

#[test]
fn job_files_that_are_none() {
    says(&with_job(b"prompt = \"a cat\"\nsteps = = 3"), &["job.toml, line 2"]);
    says(
        &with_job(b"scael = 2.0"),
        &["job.toml", "unknown key \"scael\"", "did you mean \"scale\"?", "tessera render"],
    );
    says(&with_job(b"workers = \"4\""), &["job.toml", "\"workers\"", "on the command line"]);
    says(&with_job(b"steps = \"many\""), &["job.toml", "'many'", "--steps"]);
    says(&with_job(b"prompt = \"\xff\""), &["job.toml", "UTF-8"]);
    says(&with_job(&vec![b'\n'; (1 << 20) + 1]), &["job.toml", "1048576 bytes"]);
    let absent = refused(Render::words(["--output", "out.png", "--job", "no.toml"]));
    says(&absent, &["no.toml", "no such file"]);
}

#[test]
fn batches_that_are_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("b.jsonl");
    let submit = |text: &str| {
        std::fs::write(&path, text).expect("a temporary file");
        let mut command = program::command();
        command.args(["submit", "a cat", "--coordinator", "http://127.0.0.1:1", "--batch"]).arg(&path);
        sentence(&Running::start(&mut command).wait(std::time::Duration::from_secs(20)))
    };
    says(&submit(""), &["b.jsonl holds no job", "a JSON object on each line"]);
    says(&submit("{}\n[]"), &["b.jsonl, line 2", "no object"]);
    says(&submit("{\"sampler\": \"eulr\"}"), &["b.jsonl, line 1", "did you mean \"euler\"?"]);
    says(&submit("{\"tile-base\": 1}"), &["b.jsonl, line 1", "\"tile-base\" must be true or false"]);
}
