//! Passes and tiles of upscaling networks.

use tessera_proto::{JobSpec, Stage, job::Draft};

use super::*;
use crate::render::{Plan, PlanError, Summary};

const fn size(width: u32, height: u32) -> Size {
    Size { width, height }
}

fn facts(radius: Option<u32>, scale: u32) -> ModelFacts {
    let mut draft = ModelFacts::simulated().into_draft();
    draft.upscalers.push(UpscalerFacts { name: "net".to_owned(), scale, radius, multiple: 1 });
    ModelFacts::new(draft).unwrap()
}

fn plan(facts: &ModelFacts, change: impl FnOnce(&mut Draft)) -> Result<Plan, PlanError> {
    let mut draft = Draft::text_to_image("a cat");
    draft.upscaler = Upscaler::Network("net".to_owned());
    change(&mut draft);
    Plan::new(&JobSpec::new(draft).unwrap(), facts, None)
}

fn passes(summary: &Summary) -> Vec<(Size, Size, usize)> {
    let rows = summary.stages.iter().filter(|row| row.stage == Stage::Upscale && row.network == "net");
    rows.map(|row| (row.canvas, row.tile, row.tasks)).collect()
}

#[test]
fn passes_go_on_until_the_target_is_reached() {
    let (two, four) = (facts(Some(18), 2), facts(Some(94), 4));
    let of = |facts, scale| {
        let plan = plan(facts, |job| job.target = job::Target::Scale(scale)).unwrap();
        passes(&plan.summary()).into_iter().map(|(canvas, _, _)| canvas.width).collect::<Vec<_>>()
    };
    // "4x+" at 2x means 4x, then Lanczos down.
    assert_eq!(of(&four, 2.0), [512]);
    assert_eq!(of(&four, 4.5), [512, 2048]);
    assert_eq!(of(&two, 2.0), [512]);
    assert_eq!(of(&two, 8.0), [512, 1024, 2048]);
    assert_eq!(of(&two, 16.0), [512, 1024, 2048], "Lanczos does the rest after three passes");
    assert!(of(&two, 1.0).is_empty());
}

#[test]
fn a_halo_is_taken_where_it_is_no_wider_than_the_tile() {
    let tile = |radius, tile| {
        let plan = plan(&facts(radius, 4), |job| job.upscale_tile = tile).unwrap();
        passes(&plan.summary())
    };
    // 512 px in three cores of 171 px, with 94 px to each side.
    assert_eq!(tile(Some(94), None), [(size(512, 512), size(359, 359), 9)]);
    assert_eq!(tile(Some(349), None), [(size(512, 512), size(192, 192), 9)], "too wide: a ramp");
    assert_eq!(tile(Some(349), Some(400)), [(size(512, 512), size(512, 512), 4)]);
    assert_eq!(tile(None, Some(0)), [(size(512, 512), size(512, 512), 1)]);
    assert_eq!(tile(None, Some(512)), [(size(512, 512), size(512, 512), 1)]);
}

#[test]
fn what_cannot_be_enlarged_is_refused_with_a_way_out() {
    let text = |facts: &ModelFacts, change: fn(&mut Draft)| plan(facts, change).unwrap_err().to_string();
    let facts = facts(Some(94), 4);
    assert_eq!(
        text(&facts, |job| job.target = job::Target::Size(size(16_384, 16_384))),
        "upscaler \"net\" enlarges by 4 at a time, which makes 32768x32768 px in pass 3, and the limit is 16384 px a \
         side: take a smaller target, or --upscaler lanczos"
    );
    let large = text(&facts, |job| (job.base, job.upscale_tile) = (Some(size(2048, 2048)), Some(0)));
    assert!(
        large.contains("upscale tiles of 2048x2048 px have up to 768 MiB, the limit is 208 MiB"),
        "{large}"
    );
    let unknown = text(&facts, |job| job.upscaler = Upscaler::Network("nett".to_owned()));
    assert!(unknown.starts_with("unknown upscaler \"nett\": did you mean \"net\"? (known: lanczos, latent,"));
    let filter = text(&facts, |job| job.upscaler = Upscaler::Network("lanczo".to_owned()));
    assert!(filter.contains("did you mean \"lanczos\"?"), "{filter}");
}

#[test]
fn people_are_told_what_the_rows_count() {
    let text = plan(&facts(Some(94), 4), |_| ()).unwrap().summary().to_string();
    let row = text.lines().find(|line| line.contains(" net ")).unwrap();
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>(),
        ["upscale", "net", "512x512", "359x359", "9", "9", "1", "9", "3.01x"]
    );
    assert!(text.contains("in latent px, those of net in px of the picture"), "{text}");
}
