//! Whole jobs with no network, no clock and no worker: every kind of job ends, and ends alike in any order.

use std::{collections::VecDeque, io::Cursor};

use proptest::prelude::*;
use tessera_proto::{
    FailureKind, JobSpec, ModelFacts, Moments, Part, Rect, Work,
    facts::{SIMULATED_BARRIERS, SIMULATED_ENCODER_BARRIERS},
    job::{
        Choice, Draft, Format, Posterior, Size, Target, UpscaleFilter, Upscaler, VaeMode,
        format::{Depth, Quality},
    },
};

use super::*;
use crate::{fleet::TaskNumber, latent::Latent, picture::Writer, render::Checkpoint};

mod relief;
mod rest;

/// Width of an embedding of the simulated model.
const WIDTH: usize = 768;

/// What a made-up model answers: a function of the work, and the tensors that it names, alone.
fn answer(job: &Job, work: &Work) -> Answer {
    if let Work::Measure { part, input } = work {
        let barriers = if *part == Part::Decoder { SIMULATED_BARRIERS } else { SIMULATED_ENCODER_BARRIERS };
        let mean = f64::from(input.data()[0]);
        let moments = Moments::new(9, vec![mean], vec![1.0]).unwrap();
        return Answer::Statistics(vec![moments; barriers as usize]);
    }
    let Work::Advance { part, canvas, sources, core, known } = work else {
        return Answer::Tensors(tensors(work));
    };
    let read: Vec<_> = sources.iter().map(|source| job.tensor(source.digest).unwrap()).collect();
    for (source, tensor) in sources.iter().zip(&read) {
        let [_, _, h, w] = tensor.nchw().unwrap();
        assert_eq!((w, h), (source.place.width() as usize, source.place.height() as usize));
    }
    let source = &read[0];
    let value = known.iter().flat_map(Moments::mean).sum::<f64>() + f64::from(core.x0() + 3 * core.y0());
    let alone = core.area() == u64::from(canvas.width) * u64::from(canvas.height);
    let barriers = if *part == Part::Decoder { SIMULATED_BARRIERS } else { SIMULATED_ENCODER_BARRIERS };
    if known.len() < barriers as usize && !alone {
        return Answer::Moments(Moments::new(core.area(), vec![(value * 0.01).sin()], vec![1.0]).unwrap());
    }
    let [h, w] = [core.height() as usize, core.width() as usize];
    if *part != Part::Decoder {
        let channels = if alone { 8 } else { 4 };
        #[expect(clippy::cast_possible_truncation, reason = "made-up numbers")]
        let values = wave(&source.data()[..source.data().len().min(64)], value as f32);
        let values = values.iter().copied().cycle().take(channels * (h / 8) * (w / 8)).collect();
        return Answer::Tensors(vec![Tensor::new([1, channels, h / 8, w / 8], values).unwrap()]);
    }
    #[expect(clippy::cast_possible_truncation, reason = "made-up numbers")]
    let pixel = |index: usize| ((value as f32) + source.data()[index % source.data().len()]).tanh();
    let values = (0..3 * 64 * h * w).map(pixel).collect();
    Answer::Tensors(vec![Tensor::new([1, 3, 8 * h, 8 * w], values).unwrap()])
}

fn wave(values: &[f32], phase: f32) -> Vec<f32> {
    values.iter().map(|value| (value * 0.7 + phase).sin()).collect()
}

fn tensors(work: &Work) -> Vec<Tensor> {
    let wave = |values: &[f32]| wave(values, 0.0);
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
        Work::Upscale { network, image, keep } => vec![enlarged(network, image, *keep)],
        Work::Advance { .. } | Work::Measure { .. } => panic!("no tensors alone"),
    }
}

/// A made-up network that looks 8 px to each side (`sim-2x`) or nowhere (`sim-4x`), zeros beyond the rim.
fn enlarged(network: &str, image: &Tensor, keep: Rect) -> Tensor {
    let (scale, reach) = if network == "sim-2x" { (2, 8) } else { (4, 0) };
    let [_, _, h, w] = image.nchw().unwrap();
    let px = |channel: usize, y: Option<usize>, x: Option<usize>| match (y, x) {
        (Some(y), Some(x)) if y < h && x < w => image.data()[(channel * h + y) * w + x],
        _ => 0.0,
    };
    let (rows, columns) = (keep.height() as usize * scale, keep.width() as usize * scale);
    let value = |index: usize| {
        let (channel, y, x) =
            (index / (rows * columns), index / columns % rows / scale, index % columns / scale);
        let (y, x) = (keep.y0() as usize + y, keep.x0() as usize + x);
        let far = px(channel, y.checked_sub(reach), Some(x)) + px(channel, Some(y), Some(x + reach));
        0.5 * px(channel, Some(y), Some(x)) + 0.25 * far
    };
    Tensor::new([1, 3, rows, columns], (0..3 * rows * columns).map(value).collect()).unwrap()
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

/// A job, and all that waits around it.
struct Rig {
    job: Job,
    /// Tasks that may be run.
    open: Vec<TaskNumber>,
    file: Option<Writer<Cursor<Vec<u8>>>>,
    /// Rows that are in the file, and that the job has not been told of.
    untold: VecDeque<u32>,
    finished: Option<Finished>,
    /// Tensors that all workers were to have before a task of the hires pass named them.
    shared: Vec<Digest>,
}

/// What a job leaves.
struct Finished {
    /// Empty for a job that makes a latent.
    picture: Vec<u8>,
    latent: Option<Vec<u8>>,
    dump: Option<Vec<u8>>,
}

// === impl Rig ===

impl Rig {
    fn new(plan: Plan, source: impl Into<Source>) -> Self {
        Self::of(Job::new(plan, source))
    }

    /// Takes a job up again.
    fn resumed(plan: Plan, checkpoint: Checkpoint) -> Self {
        Self::of(Job::resume(plan, checkpoint).unwrap())
    }

    fn of((job, actions): (Job, Vec<Action>)) -> Self {
        // Where a hires pass goes on, there is no time before it.
        let late = job.progress().stage == Stage::Hires;
        let mut rig = Self {
            shared: job.tensors().filter(|_| late).collect(),
            job,
            open: Vec::new(),
            file: None,
            untold: VecDeque::new(),
            finished: None,
        };
        rig.perform(actions);
        rig
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Enqueue(requests) => {
                    let hires = self.job.plan.hires.as_ref();
                    let tiled = hires.is_some_and(|hires| 1 < hires.plan.groups())
                        && self.job.progress().stage == Stage::Hires;
                    for request in &requests {
                        let early = !tiled || request.tensors.iter().all(|name| self.shared.contains(name));
                        assert!(early, "{:?} of {:?}", request.tensors, self.shared);
                        assert!(request.tensors.iter().all(|&digest| self.job.tensor(digest).is_some()));
                    }
                    self.open.extend(requests.iter().map(|request| request.task));
                }
                Action::Share(digests) => {
                    assert!(digests.iter().all(|&digest| self.job.tensor(digest).is_some()));
                    assert!(self.job.progress().stage < Stage::Hires, "while there is time");
                    self.shared.extend(digests);
                }
                Action::Withdraw { forget } => {
                    let named = forget.is_none_or(|digest| self.job.tensor(digest).is_some());
                    assert!(named, "the tasks that follow name it again");
                    for task in self.open.drain(..) {
                        assert!(self.job.work(task).unwrap().is_none(), "it is void");
                    }
                }
                Action::Release(digest) => {
                    assert!(self.job.tensor(digest).is_none(), "nobody can name it any more");
                }
                Action::Compute(computation) => {
                    let actions = self.job.apply(computation.run()).unwrap();
                    self.perform(actions);
                }
                Action::Begin(file) => {
                    assert!(self.file.is_none(), "one picture");
                    self.file = Some(Writer::new(Cursor::new(Vec::new()), file.header()).unwrap());
                }
                Action::Write(band) => {
                    let file = self.file.as_mut().unwrap();
                    band.rows().for_each(|row| file.row(row).unwrap());
                    self.untold.push_back(u32::try_from(band.len()).unwrap());
                }
                Action::Finish(Output { latent, dump }) => {
                    let file = self.file.take();
                    assert_eq!(file.is_some(), latent.is_none(), "a picture or a latent");
                    let picture = file.map(|file| file.finish().unwrap().into_inner()).unwrap_or_default();
                    self.finished = Some(Finished { picture, latent, dump });
                }
            }
        }
    }

    /// Answers one of the open tasks.
    fn answer(&mut self, index: usize) {
        let task = self.open.swap_remove(index);
        let answer = answer(&self.job, &self.job.work(task).unwrap().unwrap());
        let answer = self.job.check(task, answer).unwrap();
        let actions = self.job.apply(Event::Done { task, answer }).unwrap();
        assert!(self.job.work(task).unwrap().is_none(), "a task is over once its result is in");
        self.perform(actions);
    }

    /// Says that the next rows are written.
    fn tell(&mut self) {
        let rows = self.untold.pop_front().unwrap();
        let actions = self.job.apply(Event::Written { rows }).unwrap();
        self.perform(actions);
    }
}

/// Runs a job with tasks answered in the order that `pick` chooses; what is written is told when it chooses beyond them.
/// Returns its files and its progress.
fn run(plan: Plan, source: impl Into<Source>, mut pick: impl FnMut(usize) -> usize) -> (Finished, Progress) {
    let mut rig = Rig::new(plan, source);
    while rig.finished.is_none() {
        let tasks = rig.open.len();
        match pick(tasks + usize::from(!rig.untold.is_empty())) {
            task if task < tasks => rig.answer(task),
            _ => rig.tell(),
        }
    }
    (rig.finished.unwrap(), rig.job.progress())
}

fn image() -> Option<Picture> {
    Some(
        Picture::new(50, 41, (0..50 * 41 * 3).map(|byte| u8::try_from(byte % 251).unwrap()).collect())
            .unwrap(),
    )
}

#[test]
fn every_kind_of_job_ends_with_a_picture_of_its_size() {
    let networks = ["sim-2x", "sim-4x"].map(|name| Upscaler::Network(name.to_owned()));
    for upscaler in UpscaleFilter::ALL.iter().map(|&filter| filter.into()).chain(networks) {
        for scale in [1.0, 2.0, 2.6] {
            for from_image in [false, true] {
                let size = from_image.then_some(Size { width: 50, height: 41 });
                let change =
                    |job: &mut Draft| (job.upscaler, job.target) = (upscaler.clone(), Target::Scale(scale));
                let plan = plan(change, size);
                let target = plan.target();
                let (output, progress) = run(plan, image().filter(|_| from_image), |_| 0);
                let picture = crate::picture::decode(&output.picture, 1 << 20).unwrap();
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

/// The picture that an upscaling network leaves, 0..1, of a 4x job from a picture of 50x41 px.
fn upscaled_image(network: &str, tile: u32) -> (Vec<usize>, Vec<u8>) {
    let size = Some(Size { width: 50, height: 41 });
    let change = |job: &mut Draft| {
        (job.upscaler, job.target) = (Upscaler::of_name(network), Target::Scale(4.0));
        (job.upscale_tile, job.dump) = (Some(tile), true);
    };
    let (output, _) = run(plan(change, size), image(), |_| 0);
    let dump = output.dump.as_ref().unwrap();
    let tensors = safetensors::SafeTensors::deserialize(dump).unwrap();
    let view = tensors.tensor("upscaled_image").unwrap();
    (view.shape().to_vec(), view.data().to_vec())
}

#[test]
fn tiles_with_their_halo_give_what_the_whole_picture_gives() {
    let whole = upscaled_image("sim-2x", 0);
    assert_eq!(whole.0, [1, 3, 164, 200], "two passes of 2x");
    assert!(upscaled_image("sim-2x", 64) == whole, "the second pass is cut into six tiles");
    // Sides of 50x41 px are filled up to the network's multiple of 4, and cut back.
    assert_eq!(upscaled_image("sim-4x", 0).0, [1, 3, 164, 200]);
}

#[test]
fn an_encode_of_several_tiles_advances_and_is_joined() {
    for vae in [VaeMode::Exact, VaeMode::Fast, VaeMode::Blend] {
        let change = |job: &mut Draft| {
            (job.vae, job.upscaler) = (vae, UpscaleFilter::Lanczos.into());
            job.target = Target::Scale(6.0);
        };
        let plan = plan(change, Some(Size { width: 50, height: 41 }));
        let encode = plan.summary().stages[0].clone();
        // 3x2 cores of 300x246 px, rounded down to multiples of 8, with the end as a task of its own.
        let tasks = match vae {
            VaeMode::Exact => 6 * 13 + 1,
            VaeMode::Fast => 1 + 6 + 1,
            _ => encode.tiles,
        };
        assert_eq!((encode.network.as_ref(), encode.tasks), ("vae encoder", tasks));
        let (output, progress) = run(plan, image(), |open| open - 1);
        assert_eq!(progress.done, progress.total, "{vae}");
        assert!(!output.picture.is_empty());
    }
}

#[test]
fn the_colour_fix_estimates_the_first_statistics_alone() {
    let change = |job: &mut Draft| {
        (job.vae, job.vae_color_fix) = (VaeMode::Fast, true);
        (job.upscaler, job.target) = (UpscaleFilter::Lanczos.into(), Target::Scale(6.0));
    };
    let plan = plan(change, Some(Size { width: 50, height: 41 }));
    // 4 of 12 barriers are estimated.
    assert_eq!(plan.summary().stages[0].tasks, 1 + 6 * 9 + 1);
    let (_, progress) = run(plan, image(), |_| 0);
    assert_eq!(progress.done, progress.total);
    let mut draft = Draft::text_to_image("");
    draft.vae_color_fix = true;
    let error = JobSpec::new(draft).unwrap_err().to_string();
    assert_eq!(error, "--vae-color-fix belongs to --vae fast: exact has no estimate that it would mend");
}

#[test]
fn a_decode_of_several_tiles_advances_barrier_by_barrier() {
    for vae in [VaeMode::Exact, VaeMode::Fast, VaeMode::Blend] {
        let plan = plan(|job| (job.vae, job.target) = (vae, Target::Scale(4.0)), None);
        let (output, progress) = run(plan, None, |open| open - 1);
        assert_eq!(progress.done, progress.total, "{vae}");
        assert!(!output.picture.is_empty());
    }
}

#[test]
fn a_decode_waits_for_the_rows_that_it_has_sent_to_be_written() {
    for (vae, tiles, rows) in [(VaeMode::Exact, 8, 256), (VaeMode::Blend, 18, 256)] {
        let plan = plan(|job| (job.vae, job.target) = (vae, Target::Scale(8.0)), None);
        let mut rig = Rig::new(plan, None);
        while !rig.open.is_empty() {
            rig.answer(rig.open.len() - 1);
        }
        // Tiles are 128 px high; two rows of them may lie between what is written and what is run.
        assert!(rig.finished.is_none(), "{vae}");
        assert_eq!(rig.untold.iter().sum::<u32>(), rows, "{vae}");
        let before = rig.job.progress();
        assert!(before.done < before.total);
        while !rig.untold.is_empty() {
            rig.tell();
        }
        assert!(!rig.open.is_empty() && rig.open.len() <= tiles, "{vae}: {}", rig.open.len());
        while rig.finished.is_none() {
            match rig.open.is_empty() {
                false => rig.answer(0),
                true => rig.tell(),
            }
        }
        let picture = crate::picture::decode(&rig.finished.unwrap().picture, 1 << 20).unwrap();
        assert_eq!((picture.width(), picture.height()), (512, 384));
    }
}

#[test]
fn sixteen_bits_are_those_of_the_values_before_rounding() {
    let sixteen = Format::Png(Depth::Sixteen);
    for vae in [VaeMode::Exact, VaeMode::Blend, VaeMode::Off] {
        let (output, _) =
            run(plan(|job| (job.vae, job.format, job.dump) = (vae, sixteen, true), None), None, |_| 0);
        let samples = image::load_from_memory(&output.picture).unwrap().into_rgb16().into_raw();
        let dump = output.dump.unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&dump).unwrap();
        let values = tensors.tensor("image").unwrap().data().chunks_exact(4);
        let values: Vec<f32> = values.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
        let plane = values.len() / 3;
        for (index, &sample) in samples.iter().enumerate() {
            let value = f64::from(values[index % 3 * plane + index / 3]);
            let level = ((value + 1.0) * 32_767.5).clamp(0.0, 65_535.0);
            // Half a level, and what f32 adds at 65,535: 2^-8.
            assert!((f64::from(sample) - level).abs() < 0.51, "{vae}: {index}");
        }
    }
}

#[test]
fn the_dump_holds_every_tensor_by_its_name() {
    let (output, _) = run(plan(|job| job.dump = true, None), None, |_| 0);
    let dump = output.dump.as_ref().unwrap();
    let tensors = safetensors::SafeTensors::deserialize(dump).unwrap();
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

/// A job that is one half of the VAE alone.
fn half(draft: Draft, source: Source) -> (Finished, Progress) {
    let plan = Plan::new(&JobSpec::new(draft).unwrap(), &ModelFacts::simulated(), source.given()).unwrap();
    run(plan, source, |open| open - 1)
}

#[test]
fn an_encode_ends_with_the_latent_that_a_decode_begins_with() {
    let encode = Draft { vae_encode_tile: Some(128), ..Draft::encode(vec![1], Posterior::Mean) };
    let (output, progress) = half(encode, image().into());
    assert_eq!(progress.done, progress.total);
    let file = output.latent.unwrap();
    let latent = Latent::read(&file).unwrap();
    assert_eq!((latent.channels(), latent.size()), (4, Size { width: 6, height: 5 }));
    for vae in [VaeMode::Exact, VaeMode::Blend, VaeMode::Off] {
        let decode = Draft { vae, vae_tile: Some(16), dump: true, ..Draft::decode(file.clone()) };
        let (output, progress) = half(decode, Source::Latent(latent.clone()));
        assert_eq!(progress.done, progress.total, "{vae}");
        let picture = crate::picture::decode(&output.picture, 1 << 20).unwrap();
        assert_eq!((picture.width(), picture.height()), (48, 40), "{vae}");
        let dump = safetensors::SafeTensors::deserialize(output.dump.as_ref().unwrap()).unwrap();
        assert_eq!(dump.names(), ["image"]);
    }
}

#[test]
fn a_result_that_does_not_fit_is_refused() {
    let (job, _) = Job::new(plan(|_| (), None), None);
    let refusal = |tensors| job.check(TaskNumber(0), Answer::Tensors(tensors)).unwrap_err();
    assert_eq!(refusal(Vec::new()).kind, FailureKind::WrongShape);
    assert_eq!(refusal(vec![Tensor::zeros([77, 3]).unwrap()]).kind, FailureKind::WrongShape);
    let nan = Tensor::new([1, WIDTH], vec![f32::NAN; WIDTH]).unwrap();
    assert_eq!(refusal(vec![nan]).kind, FailureKind::NotFinite);
}

#[test]
fn a_result_that_does_not_fit_ends_the_job() {
    let (mut job, _) = Job::new(plan(|_| (), None), None);
    let error =
        job.apply(Event::Done { task: TaskNumber(0), answer: Answer::Tensors(Vec::new()) }).unwrap_err();
    assert_eq!(error.to_string(), "a task returned 0 tensors where 1 were expected");
    let late = Event::Done { task: TaskNumber(99), answer: Answer::Tensors(Vec::new()) };
    assert!(job.apply(late).unwrap().is_empty(), "a task that does not exist changes nothing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_order_of_results_writes_the_same_bytes(
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 64),
        upscaler in prop::sample::select(vec!["lanczos", "sim-2x", "sim-4x"]),
        vae in prop::sample::select(vec![VaeMode::Exact, VaeMode::Blend]),
        format in prop::sample::select(vec![Format::default(), Format::Jpeg(Quality::default())]),
    ) {
        let job = || plan(|job| {
            (job.upscaler, job.target) = (Upscaler::of_name(upscaler), Target::Scale(6.0));
            job.upscale_tile = Some(64);
            (job.vae, job.format) = (vae, format);
        }, None);
        let mut picks = picks.iter().cycle();
        let (any_order, _) = run(job(), None, |length| picks.next().unwrap().index(length));
        let (in_order, _) = run(job(), None, |_| 0);
        prop_assert!(any_order.picture == in_order.picture);
    }
}
