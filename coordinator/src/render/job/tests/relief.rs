//! Workers without memory: stages begin again with less at a time, and the picture is that of a job that asked for so little.

use super::*;

/// Runs a job whose decode tasks find no memory in cores longer than `largest` latent px, after `calls` that did.
/// Returns its picture, its notes and its progress; or what helps where it cannot go on.
fn run_in(largest: u32, mut calls: usize, plan: Plan) -> Result<(Vec<u8>, Vec<String>, Progress), String> {
    let mut rig = Rig::new(plan, None);
    while rig.finished.is_none() {
        let Some(&task) = rig.open.first() else {
            rig.tell();
            continue;
        };
        let work = rig.job.work(task).unwrap().unwrap();
        let is_large = |core: &Rect| largest < core.width().max(core.height());
        if matches!(&work, Work::Advance { part: Part::Decoder, core, .. } if is_large(core)) && calls == 0 {
            let actions = rig.job.relieve(task).unwrap();
            let actions = actions.ok_or_else(|| rig.job.advice(task).unwrap())?;
            rig.perform(actions);
        } else {
            calls =
                calls.saturating_sub(usize::from(matches!(work, Work::Advance { part: Part::Decoder, .. })));
            rig.answer(0);
        }
    }
    let picture = rig.finished.unwrap().picture;
    Ok((picture, rig.job.plan().notes().to_vec(), rig.job.progress()))
}

#[test]
fn a_decode_without_memory_begins_again_in_smaller_tiles() {
    for upscaler in [UpscaleFilter::Latent, UpscaleFilter::Lanczos] {
        let plan = |tile: u32| {
            plan(
                |job| {
                    (job.upscaler, job.target) = (upscaler.into(), Target::Scale(2.0));
                    job.base = Some(Size { width: 384, height: 256 });
                    job.tile = Some(Size { width: 48, height: 48 });
                    job.vae_tile = Some(tile);
                },
                None,
            )
        };
        let pixels = |png: &[u8]| crate::picture::decode(png, 1 << 28).unwrap().rgb().to_vec();
        let (smaller, ..) = run_in(16, 0, plan(16)).unwrap();
        for calls in [0, 1, 7, 100] {
            let (png, notes, progress) = run_in(16, calls, plan(48)).unwrap();
            let halvings: Vec<&String> =
                notes.iter().filter(|note| note.contains("had no memory for")).collect();
            assert!(halvings.len() >= 2, "48, 24, 16: {notes:?}");
            assert!(halvings.iter().any(|note| note.contains("tiles of 24 latent px")), "{notes:?}");
            assert_eq!(progress.done, progress.total, "{calls}");
            // The decode before lanczos has so few calls that it may be over before memory runs out.
            let all_again = calls == 0 || upscaler == UpscaleFilter::Latent;
            assert!(!all_again || pixels(&png) == pixels(&smaller), "{calls}: the smaller tile's picture");
            let said = b"begins again with 16; --vae-tile 16 begins so";
            assert!(png.windows(said.len()).any(|part| part == said), "{calls}: the picture names its tiles");
        }
    }
}

#[test]
fn tiles_that_are_the_smallest_end_the_job_with_their_size() {
    let advice = run_in(8, 0, plan(|job| job.target = Target::Scale(4.0), None)).unwrap_err();
    assert!(advice.starts_with("vae tiles of 16 latent px cannot"), "{advice}");
}

/// Runs a job whose workers find no memory for more than `most` tiles in a call, after `calls` that did. `pieces`: it is
/// set down and taken up again now and then. Returns its picture, its notes and its progress.
fn run_with_batches(
    most: usize,
    mut calls: usize,
    plan: &Plan,
    pieces: bool,
) -> (Vec<u8>, Vec<String>, Progress) {
    let mut rig = Rig::new(plan.clone(), None);
    let mut answered = 0;
    while rig.finished.is_none() {
        let Some(&task) = rig.open.first() else {
            rig.tell();
            continue;
        };
        let tiles = match rig.job.work(task).unwrap().unwrap() {
            Work::Denoise { tiles, .. } => tiles.shape()[0],
            _ => 0,
        };
        if most < tiles && calls == 0 {
            let actions = rig.job.relieve(task).unwrap().unwrap();
            rig.perform(actions);
        } else {
            calls = calls.saturating_sub(usize::from(most < tiles));
            rig.answer(0);
        }
        answered += 1;
        if pieces && answered % 7 == 0 && matches!(rig.job.state, State::Denoising(..)) {
            let bytes = rig.job.checkpoint().unwrap().to_bytes().unwrap();
            rig = Rig::resumed(plan.clone(), Checkpoint::read(&bytes).unwrap());
        }
    }
    (rig.finished.unwrap().picture, rig.job.plan().notes().to_vec(), rig.job.progress())
}

#[test]
fn a_pass_without_memory_begins_again_with_fewer_tiles_in_a_call() {
    let plan = |batch: u32| {
        plan(
            |job| {
                (job.upscaler, job.target) = (UpscaleFilter::Latent.into(), Target::Scale(2.0));
                job.base = Some(Size { width: 384, height: 256 });
                (job.tile, job.overlap) = (Some(Size { width: 24, height: 24 }), Some(8));
                (job.tile_batch, job.sampler) = (batch, tessera_proto::job::Sampler::EulerA);
                (job.tile_base, job.steps, job.hires_steps) = (true, 3, Some(3));
            },
            None,
        )
    };
    let pixels = |png: &[u8]| crate::picture::decode(png, 1 << 28).unwrap().rgb().to_vec();
    let (smaller, notes, _) = run_with_batches(1, 0, &plan(1), false);
    assert!(notes.iter().all(|note| !note.contains("memory")), "{notes:?}");
    for calls in [0, 1, 5] {
        for pieces in [false, true] {
            let (png, notes, progress) = run_with_batches(1, calls, &plan(4), pieces);
            let halvings: Vec<&String> = notes.iter().filter(|note| note.contains("had no memory")).collect();
            assert!(2 <= halvings.len(), "4, 2, 1: {notes:?}");
            assert!(halvings[0].contains("no memory for 4 tiles in a call"), "{notes:?}");
            assert_eq!(progress.done, progress.total, "{calls}");
            assert!(pixels(&png) == pixels(&smaller), "{calls}: the smaller batch's picture");
            let said = b"begins again with 1; --tile-batch 1 begins so";
            assert!(png.windows(said.len()).any(|part| part == said), "{calls}: the picture names its batch");
        }
    }
}

#[test]
fn an_encode_without_memory_begins_again_in_smaller_tiles() {
    let (goal, size) = (tessera_proto::job::Goal::Encode(Posterior::Mean), Size { width: 768, height: 512 });
    let plan = |tile: u32| {
        let change = |job: &mut Draft| {
            (job.goal, job.vae_encode_tile) = (goal.clone(), Some(tile));
            job.image = Some(bytes::Bytes::from_static(b"png"));
        };
        plan(change, Some(size))
    };
    let encoded = |most: u32, mut calls: usize, plan: Plan| {
        let bytes = (0..size.width * size.height * 3).map(|byte| u8::try_from(byte % 251).unwrap());
        let picture = Picture::new(size.width, size.height, bytes.collect()).unwrap();
        let mut rig = Rig::new(plan, Some(picture));
        while rig.finished.is_none() {
            let task = rig.open[0];
            let tile = match rig.job.work(task).unwrap().unwrap() {
                Work::Advance { part: Part::Encoder, core, .. } => core.width().max(core.height()),
                _ => 0,
            };
            if most < tile && calls == 0 {
                let actions = rig.job.relieve(task).unwrap().unwrap();
                rig.perform(actions);
            } else {
                calls = calls.saturating_sub(usize::from(most < tile));
                rig.answer(0);
            }
        }
        let Progress { done, total, .. } = rig.job.progress();
        assert_eq!(done, total);
        (rig.finished.unwrap().latent.unwrap(), rig.job.plan().notes().to_vec())
    };
    let (smaller, _) = encoded(128, 0, plan(128));
    for calls in [0, 1, 5] {
        let (latent, notes) = encoded(128, calls, plan(512));
        let halvings = notes.iter().filter(|note| note.contains("no memory for vae encode tiles")).count();
        assert_eq!(halvings, 2, "384, 192, 128: {notes:?}");
        assert!(latent == smaller, "{calls}: the smaller tile's latent");
    }
}

#[test]
fn a_tile_alone_in_its_call_ends_the_job_with_what_helps() {
    let mut rig = Rig::new(plan(|_| {}, None), None);
    while !matches!(rig.job.state, State::Denoising(..)) {
        rig.answer(0);
    }
    let task = rig.open[0];
    assert!(rig.job.relieve(task).unwrap().is_none());
    assert_eq!(rig.job.advice(task).unwrap(), "take a smaller --tile or --tile-batch");
}
