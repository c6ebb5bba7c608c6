//! Sizes, tiles and refusals of plans.

use tessera_proto::{
    Rect,
    job::{Draft, Format, Target, UpscaleFilter, VaeMode, format::Quality},
};

use super::*;

fn plan_with(change: impl FnOnce(&mut Draft)) -> Result<Plan, Error> {
    plan_from(None, change)
}

fn plan_from(image: Option<Size>, change: impl FnOnce(&mut Draft)) -> Result<Plan, Error> {
    let mut draft = Draft::text_to_image("a cat");
    change(&mut draft);
    Plan::new(&JobSpec::new(draft).unwrap(), &ModelFacts::simulated(), image)
}

const fn size(width: u32, height: u32) -> Size {
    Size { width, height }
}

fn stage(plan: &Plan, stage: tessera_proto::Stage) -> StageSummary {
    plan.summary().stages.into_iter().find(|summary| summary.stage == stage).unwrap()
}

#[test]
fn defaults_are_those_of_the_model() {
    let plan = plan_with(|_| ()).unwrap();
    assert_eq!((plan.base_size(), plan.target()), (size(512, 512), size(1024, 1024)));
    let hires = stage(&plan, tessera_proto::Stage::Hires);
    assert_eq!((hires.tile, hires.tiles, hires.cells), (size(96, 96), 4, 9));
    assert_eq!((hires.model_calls, hires.tasks), (20, 80));
    assert!((hires.redundancy - 2.25).abs() < 1e-9);
    assert_eq!(stage(&plan, tessera_proto::Stage::Base).tasks, 20);
}

#[test]
fn scale_one_is_the_base_pass_alone() {
    let plan = plan_with(|job| job.target = Target::Scale(1.0)).unwrap();
    assert!(plan.hires.is_none() && plan.enlarge.is_none());
    assert_eq!(plan.target(), size(512, 512));
    let image = plan_from(Some(size(512, 512)), |job| job.target = Target::Scale(1.0)).unwrap();
    assert!(image.hires.is_some(), "a picture is denoised at scale 1 too");
}

#[test]
fn odd_scales_are_rounded_down_and_said() {
    let plan = plan_with(|job| job.target = Target::Scale(1.3)).unwrap();
    assert_eq!(plan.target(), size(664, 664));
    assert!(plan.notes()[0].contains("665x665 px, rounded down to 664x664 px"), "{:?}", plan.notes());
}

#[test]
fn one_side_keeps_the_aspect_and_two_sides_cover() {
    let landscape = |job: &mut Draft, target| {
        job.base = Some(size(768, 512));
        job.target = Target::Size(target);
    };
    let plan = plan_with(|job| landscape(job, size(1536, 0))).unwrap();
    assert_eq!(plan.target(), size(1536, 1024));
    // A1111: both given, another ratio: 1024 high means 1536 wide, of which 1024 are kept from the middle.
    let plan = plan_with(|job| landscape(job, size(1024, 1024))).unwrap();
    assert_eq!(plan.target(), size(1024, 1024));
    let Some(Enlarge::Latent { cover, keep, .. }) = plan.enlarge else {
        panic!("the default upscaler is latent")
    };
    assert_eq!((cover, keep), (size(192, 128), Rect::new(32, 0, 160, 128).unwrap()));
}

#[test]
fn an_upscaler_on_pictures_decodes_and_encodes() {
    let plan = plan_with(|job| job.upscaler = UpscaleFilter::Lanczos.into()).unwrap();
    let networks: Vec<_> = plan.summary().stages.iter().map(|stage| stage.network.clone()).collect();
    assert_eq!(networks, ["unet", "vae decoder", "vae encoder", "unet", "vae decoder"]);
    let plan = plan_from(Some(size(500, 333)), |job| job.upscaler = UpscaleFilter::Lanczos.into()).unwrap();
    assert_eq!((plan.source, plan.target()), (Some(size(496, 328)), size(1000, 664)));
    let networks: Vec<_> = plan.summary().stages.iter().map(|stage| stage.network.clone()).collect();
    assert_eq!(networks, ["vae encoder", "unet", "vae decoder"]);
}

#[test]
fn what_the_model_pads_is_said() {
    let plan = plan_with(|job| job.base = Some(size(520, 512))).unwrap();
    assert!(
        plan.notes().iter().any(|note| note.contains("65x64") && note.contains("72x64")),
        "{:?}",
        plan.notes()
    );
}

/// A plan by a model whose tiles take so many bytes: `(side, bytes)`.
fn plan_in(tiles: &[(u32, u64)], change: impl FnOnce(&mut Draft)) -> Plan {
    let mut draft = Draft::text_to_image("a cat");
    draft.target = Target::Size(size(4096, 2048));
    change(&mut draft);
    let mut model = ModelFacts::simulated().into_draft();
    let peaks = facts::Peaks::new(tiles.to_vec(), 100, 40, 1 << 20).unwrap();
    model.exact_decode =
        facts::Exactness::Cut { barriers: 27, halo: 11, crossing: 0, prefix: 0, peaks: Box::new(peaks) };
    Plan::new(&JobSpec::new(draft).unwrap(), &ModelFacts::new(model).unwrap(), None).unwrap()
}

#[test]
fn an_open_tile_is_the_largest_that_fits_into_memory() {
    let tiles =
        [(16, 100), (32, 300), (64, 900), (128, 3000), (256, 10_000)].map(|(side, mib)| (side, mib << 20));
    let side = |memory: Option<u32>, tile: Option<u32>| {
        let plan = plan_in(&tiles, |job| (job.vae_memory, job.vae_tile) = (memory, tile));
        let End::Picture(DecodePlan::Exact(exact)) = &plan.end else { panic!("exact is the default") };
        (exact.side(), stage(&plan, tessera_proto::Stage::Decode).peak_bytes.map(|bytes| bytes >> 20))
    };
    // 512 x 256 latent px of 40 bytes each are kept beside a tile: 5 MiB.
    assert_eq!(side(None, None), (64, Some(905)));
    assert_eq!(side(Some(899), None), (32, Some(305)));
    assert_eq!(side(Some(64), None), (16, Some(105)), "the smallest, whatever it takes");
    assert_eq!(side(Some(20_000), None), (128, Some(3005)), "larger ones leave less for others");
    assert_eq!(side(Some(64), Some(256)), (256, Some(10_005)), "a given tile is given");
    let plan = plan_in(&tiles, |job| job.target = Target::Scale(1.0));
    let End::Picture(DecodePlan::Exact(exact)) = &plan.end else { panic!("exact is the default") };
    assert_eq!(exact.cores.len(), 4, "a small picture gets several tiles");
    let text = plan.summary().to_string();
    assert!(text.contains("decode, vae decoder: at most 301 MiB in a worker"), "{text}");
    assert!(text.contains("decode, vae decoder: tiles touch; each is shown with its halo"), "{text}");
}

#[test]
fn what_cannot_be_rendered_is_refused_with_a_way_out() {
    let text = |result: Result<Plan, Error>| result.err().map(|error| error.to_string()).unwrap_or_default();
    let overlap = text(plan_with(|job| job.overlap = Some(96)));
    assert!(overlap.contains("overlap of 96 px") && overlap.contains("tiles of 96 px"), "{overlap}");
    let large = text(plan_with(|job| {
        job.base = Some(size(8192, 8192));
        job.target = Target::Scale(4.0);
    }));
    assert_eq!(large, "the target is 32768x32768 px, the limit is 16384 px a side: take a smaller scale");
    let untiled = text(plan_with(|job| {
        job.base = Some(size(8192, 8192));
        job.target = Target::Scale(1.0);
        job.vae = VaeMode::Off;
    }));
    assert!(untiled.contains("768 MiB each, the limit is 208 MiB"), "{untiled}");
    let encode = text(plan_with(|job| {
        job.upscaler = UpscaleFilter::Lanczos.into();
        job.base = Some(size(512, 1024));
        job.target = Target::Size(size(4096, 4096));
        job.vae = VaeMode::Off;
    }));
    assert!(encode.contains("384 MiB each, the limit is 208 MiB"), "{encode}");
    let batch = text(plan_with(|job| {
        (job.base, job.target, job.tile_base) = (Some(size(16384, 16384)), Target::Scale(1.0), true);
        (job.tile, job.overlap, job.tile_batch) = (Some(size(512, 512)), Some(400), 64);
    }));
    assert_eq!(
        batch,
        "a batch of 64 tiles has 256 MiB, the limit is 208 MiB: take a smaller --tile-batch or --tile"
    );
    let waste = text(plan_with(|job| {
        (job.base, job.tile_base) = (Some(size(2048, 2048)), true);
        (job.tile, job.overlap) = (Some(size(128, 128)), Some(123));
    }));
    assert!(waste.contains("times over, the limit is 256"), "{waste}");
}

#[test]
fn a_picture_that_its_format_cannot_hold_is_refused() {
    let refusal = |format, scale, prompt: &str| {
        let change = |job: &mut Draft| {
            (job.format, job.target, job.base) = (format, Target::Scale(scale), Some(size(1024, 1024)));
            job.prompt = prompt.to_owned();
        };
        plan_with(change).unwrap_err().to_string()
    };
    assert_eq!(
        refusal(Format::WebP, 16.0, "a"),
        "a webp has at most 16383 px a side, this picture is 16384x16384 px: choose .png or .tiff"
    );
    assert!(refusal(Format::WebP, 12.0, "a").contains("12288x12288 px takes 1440 MiB of memory"));
    let jpeg = Format::Jpeg(Quality::default());
    assert!(refusal(jpeg, 1.0, &"long ".repeat(12_000)).contains("shorten the prompt"));
    for format in [Format::default(), jpeg] {
        let change = |job: &mut Draft| {
            (job.format, job.target, job.base) = (format, Target::Scale(16.0), Some(size(1024, 1024)));
        };
        assert_eq!(plan_with(change).unwrap().target(), size(16_384, 16_384));
    }
}
