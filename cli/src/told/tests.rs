//! Command lines and job files in; the arguments that the parser makes of both out.

use std::{fs, path::Path};

use proptest::{
    collection::vec,
    prelude::{any, proptest},
};
use tempfile::TempDir;

use super::*;
use crate::args::{JobArgs, RenderArgs, SubmitArgs};

/// A folder with a job file, and the command line that names it.
fn written(text: &str) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("job.toml");
    fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

fn words(command: &str, path: &str, more: &[&str]) -> Result<Command, String> {
    let line =
        ["tessera", command, "--job", path].into_iter().chain(more.iter().copied()).map(OsString::from);
    match read(line) {
        Ok(cli) => Ok(cli.command),
        Err(Refusal::File(error)) => Err(error.to_string()),
        Err(Refusal::Words(error)) => panic!("{error}"),
    }
}

fn render(text: &str, more: &[&str]) -> RenderArgs {
    let (_folder, path) = written(text);
    match words("render", &path, more).unwrap() {
        Command::Render(args) => *args,
        other => panic!("not a render: {other:?}"),
    }
}

fn refusal(text: &str, more: &[&str]) -> String {
    let (folder, path) = written(text);
    let sentence = words("render", &path, more).unwrap_err();
    assert!(!sentence.contains(char::is_control), "{sentence:?}");
    sentence.replace(&folder.path().display().to_string(), "")
}

#[test]
fn a_file_says_what_flags_say() {
    let text = "prompt = \"-a (red:1.2) house\"\nnegative = \"\"\nhires_steps = 9\nscale = 2.5\nseed = -1\ncfg-scale = 4\n\
                tile-base = true\nbarrier = false\npriority = \"batch\"\nuser = \"ann\"\nbits = 16\n";
    let args = render(text, &[]);
    let JobArgs { picture, sampling, hires, tiles, turn, .. } = args.job;
    assert_eq!((picture.prompt.as_deref(), picture.negative.as_str()), (Some("-a (red:1.2) house"), ""));
    assert_eq!((hires.scale, hires.hires_steps), (Some(2.5), 9));
    assert_eq!((sampling.seed, sampling.cfg, sampling.steps), (-1, 4.0, 20));
    assert_eq!((tiles.tile_base, tiles.barrier), (true, false));
    assert_eq!((turn.priority.as_deref(), turn.user.as_str()), (Some("batch"), "ann"));
    assert_eq!(args.output.format.bits, Some(16));
}

#[test]
fn flags_win_over_the_file_and_drive_out_what_contradicts_them() {
    let text = "prompt = \"a cat\"\nsteps = 9\nscale = 4.0\n";
    let args = render(text, &["a dog", "--steps", "7", "--hires-width", "640", "--workers", "sim:0"]);
    assert_eq!(args.job.picture.prompt.as_deref(), Some("a dog"));
    assert_eq!(args.job.sampling.steps, 7);
    assert_eq!((args.job.hires.scale, args.job.hires.hires_width), (None, Some(640)));
    assert_eq!(args.machines.workers, "sim:0");
    let args = render("hires-width = 640\nhires-height = 640\n", &["--scale", "3"]);
    assert_eq!(
        (args.job.hires.scale, args.job.hires.hires_width, args.job.hires.hires_height),
        (Some(3.0), None, None)
    );
}

#[test]
fn paths_are_relative_to_the_file() {
    let text =
        "image = \"in/a.png\"\nmodel = \"nets/sd\"\nupscaler = \"4x.onnx\"\noutput = \"/tmp/out.png\"\n";
    let (folder, path) = written(text);
    let Ok(Command::Render(args)) = words("render", &path, &["--report", "r.json"]) else {
        panic!("not a render")
    };
    let picture = &args.job.picture;
    assert_eq!(picture.image.as_deref(), Some(&*folder.path().join("in/a.png")));
    assert_eq!(picture.model.as_deref(), folder.path().join("nets/sd").to_str());
    assert_eq!(Some(args.job.hires.upscaler.as_str()), folder.path().join("4x.onnx").to_str());
    assert_eq!(args.output.output.as_deref(), Some(Path::new("/tmp/out.png")));
    assert_eq!(
        args.output.report.as_deref(),
        Some(Path::new("r.json")),
        "a flag's is relative to where we are"
    );
    // A model's or network's name is no path, unless there is such a folder.
    let args = render("model = \"dreamer\"\nupscaler = \"lanczos\"\n", &[]);
    assert_eq!(
        (args.job.picture.model.as_deref(), args.job.hires.upscaler.as_str()),
        (Some("dreamer"), "lanczos")
    );
}

#[test]
fn plan_and_submit_take_the_same_file() {
    let (_folder, path) = written("prompt = \"a cat\"\nsteps = 9\n");
    let Ok(Command::Plan(args)) = words("plan", &path, &["--devices", "47,86"]) else { panic!("not a plan") };
    assert_eq!((args.render.job.sampling.steps, args.devices.as_slice()), (9, [47.0, 86.0].as_slice()));
    let url = ["--coordinator", "http://127.0.0.1:1", "--trace"];
    let Ok(Command::Submit(args)) = words("submit", &path, &url) else { panic!("not a submit") };
    let SubmitArgs { job, cluster, trace, told, .. } = *args;
    assert_eq!((job.sampling.steps, cluster.coordinator.as_str(), trace), (9, "http://127.0.0.1:1", true));
    assert_ne!(told, Layer::default());
}

#[test]
fn what_a_file_must_not_say_is_named() {
    assert_eq!(
        refusal("hires-step = 3", &[]),
        "cannot use /job.toml: unknown key \"hires-step\": did you mean \"hires-steps\"? (the keys are the long flags of \
         tessera render, and prompt)"
    );
    let elsewhere = refusal("coordinator = \"http://10.0.0.5:1\"", &[]);
    assert_eq!(
        elsewhere,
        "cannot use /job.toml: the key \"coordinator\" says nothing about the picture: give --coordinator on the command \
         line"
    );
    assert!(refusal("tile-base = \"yes\"", &[]).ends_with("the key \"tile-base\" must be true or false"));
    assert!(refusal("steps = [1]", &[]).ends_with("the key \"steps\" must be a text or a number"));
    assert!(refusal("steps = \"many\"", &[]).contains("job.toml: invalid value 'many' for '--steps <N>'"));
    assert!(refusal("steps = \"a\\u001b[31mb\\nc\"", &[]).contains("b c' for '--steps <N>'"));
    assert!(refusal("scale = 2.0\nhires-width = 64", &[]).contains("cannot be used with"));
    assert!(refusal("cfg = 2\ncfg-scale = 3", &[]).contains("another key means the same"));
    assert!(refusal("steps = 3\nscale = = 2", &[]).starts_with("cannot use /job.toml, line 2: "));
    let absent = words("render", "no/job.toml", &[]).unwrap_err();
    assert_eq!(absent, "cannot use no/job.toml: there is no such file");
}

proptest! {
    /// Whatever a file holds, it is understood or refused in one line, and what is understood the parser can read.
    #[test]
    fn arbitrary_files_never_panic(
        keys in vec(("[a-z_-]{1,12}|prompt|steps|scale|image|tile-base|seed|format", any::<u8>(), "\\PC{0,12}"), 0..4),
        noise in "\\PC{0,40}",
    ) {
        let root = Cli::command();
        let submit = root.find_subcommand("submit").unwrap();
        let place = Place::file(Path::new("a/job.toml"));
        let value = |kind: u8, text: &str| match kind % 5 {
            0 => format!("{text:?}"),
            1 => (kind as i8).to_string(),
            2 => "2.5".to_owned(),
            3 => (kind < 128).to_string(),
            _ => text.to_owned(),
        };
        let lines: Vec<_> = keys.iter().map(|(key, kind, text)| (key, value(*kind, text))).collect();
        let toml: String = lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let json = lines.iter().map(|(key, value)| format!("{key:?}: {value}")).collect::<Vec<_>>().join(",");
        for text in [toml, noise.clone()] {
            check(file::of_toml(&text, Path::new("a/job.toml"), submit), submit);
        }
        for text in [format!("{{{json}}}"), noise] {
            check(file::of_json(&text, &place, submit), submit);
        }
    }
}

fn check(layer: Result<Layer, Error>, command: &clap::Command) {
    match layer {
        Ok(layer) => {
            let words = layer.words(command);
            // What the parser refuses is refused in one line too.
            if let Err(error) = Cli::try_parse_from(words) {
                let sentence = Error::refused(Place::file(Path::new("a")), &error).to_string();
                assert!(!sentence.contains('\n'), "{sentence}");
            }
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
}

/// What a stranger's job file can hold: whatever it is, it is read or refused in one line.
#[test]
fn damaged_job_files() {
    let root = Cli::command();
    let submit = root.find_subcommand("submit").unwrap();
    let path = Path::new("jobs/job.toml");
    let toml = "prompt = \"a (red:1.2) house\"\nsteps = 12\nscale = 2.5\nmodel = \"a/b\"\ntile_base = true\nuser = \"ann\"\n";
    let json = r#"{"prompt": "a red house", "steps": 12, "hires_width": 640, "image": "a.png", "no-upscale": false}"#;
    tessera_tests::fuzz::damage(&[toml.into(), json.into()], |bytes| {
        let text = String::from_utf8_lossy(&bytes);
        tessera_tests::fuzz::refused(file::of_toml(&text, path, submit));
        tessera_tests::fuzz::refused(Batch::new(Layer::default()).read(&text, path));
    });
}
