//! Whole jobs with no network, no clock and no worker: every kind of job ends, and ends alike in any order.

use proptest::prelude::*;
use tessera_proto::{
    FailureKind, JobSpec, ModelFacts, Work,
    job::{Choice, Draft, Size, Target, Upscaler},
};

use super::*;
use crate::fleet::TaskNumber;

/// Width of an embedding of the simulated model.
const WIDTH: usize = 768;

/// What a made-up model answers: a function of the work alone.
fn answer(work: &Work) -> Vec<Tensor> {
    let wave = |values: &[f32]| values.iter().map(|value| (value * 0.7).sin()).collect::<Vec<_>>();
    match work {
        Work::Embed { texts } => {
            let length = u16::try_from(format!("{texts:?}").len()).unwrap();
            vec![Tensor::new([77, WIDTH], vec![f32::from(length); 77 * WIDTH]).unwrap()]
        }
        Work::Denoise { tiles, .. } => vec![Tensor::new(tiles.shape(), wave(tiles.data())).unwrap()],
        Work::Encode { image } => {
            let [_, _, h, w] = image.nchw().unwrap();
            let mean = wave(&image.data()[..8 * (h / 8) * (w / 8)]);
            vec![Tensor::new([1, 8, h / 8, w / 8], mean).unwrap()]
        }
        Work::Decode { latent } => {
            let [_, _, h, w] = latent.nchw().unwrap();
            let pixel = |index: usize| latent.data()[index % latent.data().len()].tanh();
            vec![Tensor::new([1, 3, 8 * h, 8 * w], (0..3 * 64 * h * w).map(pixel).collect()).unwrap()]
        }
        Work::Upscale { .. } => panic!("no stage upscales by a network"),
    }
}

fn plan(change: impl FnOnce(&mut Draft), image: Option<Size>) -> Plan {
    let mut draft = Draft::text_to_image("a (red:1.2) house AND a lake:0.5");
    draft.base = image.is_none().then_some(Size { width: 64, height: 48 });
    draft.steps = 2;
    draft.tile = Some(Size { width: 8, height: 8 });
    draft.vae_tile = Some(16);
    draft.vae_encode_tile = Some(128);
    change(&mut draft);
    Plan::new(&JobSpec::new(draft).unwrap(), &ModelFacts::simulated(), image).unwrap()
}

/// Runs a job with tasks answered in the order that `pick` chooses. Returns its files and its progress.
fn run(
    plan: Plan,
    source: Option<Picture>,
    mut pick: impl FnMut(usize) -> usize,
) -> (super::super::Output, Progress) {
    let (mut job, actions) = Job::new(plan, source);
    let mut open: Vec<TaskNumber> = Vec::new();
    let mut todo = actions;
    loop {
        let mut next = Vec::new();
        for action in todo {
            match action {
                Action::Enqueue(requests) => {
                    for request in &requests {
                        assert!(request.tensors.iter().all(|&digest| job.tensor(digest).is_some()));
                    }
                    open.extend(requests.iter().map(|request| request.task));
                }
                Action::Compute(computation) => next.extend(job.apply(computation.run()).unwrap()),
                Action::Finish(output) => return (output, job.progress()),
            }
        }
        if next.is_empty() {
            let task = open.swap_remove(pick(open.len()));
            let tensors = answer(&job.work(task).unwrap().unwrap());
            let tensors = job.check(task, tensors).unwrap();
            next = job.apply(Event::Done { task, tensors }).unwrap();
            assert!(job.work(task).unwrap().is_none(), "a task is over once its result is in");
        }
        todo = next;
    }
}

fn image() -> Option<Picture> {
    Some(
        Picture::new(50, 41, (0..50 * 41 * 3).map(|byte| u8::try_from(byte % 251).unwrap()).collect())
            .unwrap(),
    )
}

#[test]
fn every_kind_of_job_ends_with_a_picture_of_its_size() {
    for &upscaler in Upscaler::ALL {
        for scale in [1.0, 2.0, 2.6] {
            for from_image in [false, true] {
                let size = from_image.then_some(Size { width: 50, height: 41 });
                let change = |job: &mut Draft| (job.upscaler, job.target) = (upscaler, Target::Scale(scale));
                let plan = plan(change, size);
                let target = plan.target();
                let (output, progress) = run(plan, image().filter(|_| from_image), |_| 0);
                let picture = crate::picture::decode(&output.png, 1 << 20).unwrap();
                assert_eq!(
                    (picture.width(), picture.height()),
                    (target.width, target.height),
                    "{upscaler} {scale}"
                );
                assert_eq!(progress.done, progress.total, "{upscaler} {scale}: the plan counted every task");
            }
        }
    }
}

#[test]
fn the_dump_holds_every_tensor_by_its_name() {
    let (output, _) = run(plan(|job| job.dump = true, None), None, |_| 0);
    let dump = output.dump.unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&dump).unwrap();
    let mut shapes: Vec<_> =
        tensors.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
    shapes.sort();
    let expected: Vec<(String, Vec<usize>)> = [
        ("base_latent", vec![1, 4, 6, 8]),
        ("base_noise", vec![1, 4, 6, 8]),
        ("hires_latent", vec![1, 4, 12, 16]),
        ("hires_noise", vec![1, 4, 12, 16]),
        ("hires_start", vec![1, 4, 12, 16]),
        ("image", vec![1, 3, 96, 128]),
        ("negative_embeds", vec![1, 77, WIDTH]),
        ("prompt_embeds", vec![1, 77, WIDTH]),
        ("upscaled_latent", vec![1, 4, 12, 16]),
    ]
    .map(|(name, shape)| (name.to_owned(), shape))
    .into();
    assert_eq!(shapes, expected);
}

#[test]
fn a_result_that_does_not_fit_is_refused() {
    let (job, _) = Job::new(plan(|_| (), None), None);
    let refusal = |tensors| job.check(TaskNumber(0), tensors).unwrap_err();
    assert_eq!(refusal(Vec::new()).kind, FailureKind::WrongShape);
    assert_eq!(refusal(vec![Tensor::zeros([77, 3]).unwrap()]).kind, FailureKind::WrongShape);
    let nan = Tensor::new([1, WIDTH], vec![f32::NAN; WIDTH]).unwrap();
    assert_eq!(refusal(vec![nan]).kind, FailureKind::NotFinite);
}

#[test]
fn a_result_that_does_not_fit_ends_the_job() {
    let (mut job, _) = Job::new(plan(|_| (), None), None);
    let error = job.apply(Event::Done { task: TaskNumber(0), tensors: Vec::new() }).unwrap_err();
    assert_eq!(error.to_string(), "a task returned 0 tensors where 1 were expected");
    let late = Event::Done { task: TaskNumber(99), tensors: Vec::new() };
    assert!(job.apply(late).unwrap().is_empty(), "a task that does not exist changes nothing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_order_of_results_writes_the_same_bytes(picks in proptest::collection::vec(any::<prop::sample::Index>(), 64)) {
        let job = || plan(|job| (job.upscaler, job.target) = (Upscaler::Lanczos, Target::Scale(3.0)), None);
        let mut picks = picks.iter().cycle();
        let (any_order, _) = run(job(), None, |length| picks.next().unwrap().index(length));
        let (in_order, _) = run(job(), None, |_| 0);
        prop_assert!(any_order.png == in_order.png);
    }
}
