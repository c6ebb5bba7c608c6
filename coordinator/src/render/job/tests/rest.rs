//! Jobs that are set down and taken up again, through their files, leave the bytes of those that are not.

use super::*;
use crate::render::{Checkpoint, CheckpointError};

/// What makes a kind of job of a plain one.
type Change = fn(&mut Draft);

/// Runs a job that is set down at every point where it can be, and taken up again from its checkpoint's bytes.
fn in_pieces(plan: &Plan, source: impl Into<Source>) -> (Finished, Progress, usize) {
    let mut rig = Rig::new(plan.clone(), source);
    let (mut last, mut pieces) = (None, 0);
    while rig.finished.is_none() {
        let mark = rig.job.mark();
        if mark.is_some() && mark != last {
            let progress = rig.job.progress();
            let checkpoint = rig.job.checkpoint().unwrap();
            let bytes = checkpoint.to_bytes().unwrap();
            assert!(
                (checkpoint.byte_len()..checkpoint.byte_len() + 8192).contains(&bytes.len()),
                "it tells its size"
            );
            rig = Rig::resumed(plan.clone(), Checkpoint::read(&bytes).unwrap());
            assert_eq!(rig.job.mark(), mark, "it stands where it stood");
            assert!(rig.job.progress().done <= progress.done, "what is done again is not counted twice");
            assert_eq!(rig.job.progress().total, progress.total);
            (last, pieces) = (mark, pieces + 1);
        }
        match rig.open.len() {
            0 => rig.tell(),
            tasks => rig.answer((pieces * 7) % tasks),
        }
    }
    (rig.finished.unwrap(), rig.job.progress(), pieces)
}

#[test]
fn a_job_in_pieces_leaves_the_same_files() {
    let size = Size { width: 50, height: 41 };
    let kinds: [(&str, bool, Change); 9] = [
        ("latent upscaler", false, |_| {}),
        ("ancestral", false, |job| job.sampler = tessera_proto::job::Sampler::EulerA),
        ("two registers, exact decode in tiles", false, |job| {
            job.sampler = tessera_proto::job::Sampler::Heun;
            job.target = Target::Scale(3.0);
        }),
        ("lanczos", false, |job| {
            (job.upscaler, job.target) = (UpscaleFilter::Lanczos.into(), Target::Scale(6.0));
        }),
        ("network, two passes", true, |job| {
            (job.upscaler, job.target) = (Upscaler::of_name("sim-2x"), Target::Scale(4.0));
            job.upscale_tile = Some(64);
        }),
        ("fast", true, |job| {
            (job.vae, job.upscaler) = (VaeMode::Fast, UpscaleFilter::Lanczos.into());
            job.target = Target::Scale(6.0);
        }),
        ("blend", true, |job| {
            (job.vae, job.upscaler) = (VaeMode::Blend, UpscaleFilter::Lanczos.into());
            job.target = Target::Scale(6.0);
        }),
        ("encode", true, |job| job.goal = tessera_proto::job::Goal::Encode(Posterior::Mean)),
        ("barrier", false, |job| job.barrier = true),
    ];
    for (name, from_image, change) in kinds {
        for dump in [false, true] {
            let given = from_image.then_some(size);
            let change = |job: &mut Draft| {
                job.dump = dump;
                change(job);
                if matches!(job.goal, tessera_proto::job::Goal::Encode(_)) {
                    job.image = Some(bytes::Bytes::from_static(b"png"));
                    job.dump = false;
                }
            };
            let plan = plan(change, given);
            let (whole, _) = run(plan.clone(), image().filter(|_| from_image), |_| 0);
            let (pieced, progress, pieces) = in_pieces(&plan, image().filter(|_| from_image));
            assert!(whole.picture == pieced.picture && whole.latent == pieced.latent, "{name}: other files");
            assert!(whole.dump == pieced.dump, "{name}: other tensors");
            assert_eq!(progress.done, progress.total, "{name}: every task is counted once");
            assert!(0 < pieces, "{name} was never set down");
        }
    }
}

#[test]
fn smaller_tiles_for_want_of_memory_are_remembered() {
    let plan = plan(|job| (job.target, job.vae_tile) = (Target::Scale(6.0), Some(32)), None);
    let finish = |pieced: bool| {
        let mut rig = Rig::new(plan.clone(), Source::Nothing);
        let mut relieved = false;
        while rig.finished.is_none() {
            let deep = rig.job.progress().stage == Stage::Decode && !relieved;
            match rig.open.len() {
                0 => rig.tell(),
                _ if deep => {
                    relieved = true;
                    let actions = rig.job.relieve(rig.open[0]).unwrap().unwrap();
                    rig.perform(actions);
                    if pieced {
                        let checkpoint = rig.job.checkpoint().unwrap();
                        rig = Rig::resumed(plan.clone(), checkpoint);
                    }
                }
                _ => rig.answer(0),
            }
        }
        let notes = rig.job.plan().notes().to_vec();
        (rig.finished.unwrap().picture, notes)
    };
    let (whole, notes) = finish(false);
    let (pieced, again) = finish(true);
    assert!(whole == pieced && notes == again, "{notes:?} {again:?}");
    assert!(notes.iter().any(|note| note.contains("no memory")), "{notes:?}");
}

#[test]
fn a_checkpoint_of_another_job_is_refused() {
    let mut rig = Rig::new(plan(|_| {}, None), Source::Nothing);
    while rig.job.mark().is_none() {
        rig.answer(0);
    }
    let bytes = rig.job.checkpoint().unwrap().to_bytes().unwrap();
    let other = |change: fn(&mut Draft)| {
        let (mut job, actions) = Job::resume(plan(change, None), Checkpoint::read(&bytes).unwrap())?;
        actions.into_iter().try_for_each(|action| match action {
            Action::Compute(computation) => job.apply(computation.run()).map(drop),
            _ => Ok(()),
        })
    };
    assert!(other(|_| {}).is_ok(), "it is its own job's");
    for change in [
        (|job| job.base = Some(Size { width: 128, height: 128 })) as fn(&mut Draft),
        |job| job.prompt = "a".to_owned(),
        |job| job.sampler = tessera_proto::job::Sampler::Heun,
        |job| job.dump = true,
    ] {
        assert!(matches!(other(change), Err(Error::Checkpoint)), "it is not");
    }
}

#[test]
fn a_damaged_checkpoint_is_an_error() {
    let mut rig = Rig::new(plan(|_| {}, None), Source::Nothing);
    while rig.job.mark().is_none() {
        rig.answer(0);
    }
    let bytes = rig.job.checkpoint().unwrap().to_bytes().unwrap();
    for length in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        assert!(Checkpoint::read(&bytes[..length]).is_err(), "{length} bytes of it");
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let at = text.find("version").unwrap();
    let mut newer = bytes.clone();
    let digit = newer[at..].iter().position(u8::is_ascii_digit).unwrap();
    newer[at + digit] = b'9';
    let error = Checkpoint::read(&newer).unwrap_err();
    assert!(matches!(error, CheckpointError::Version { found: 9 }), "{error}");
}
