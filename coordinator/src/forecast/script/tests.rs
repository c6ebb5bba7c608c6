//! What may run when, against the pass that really denoises.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tessera_proto::{
    JobSpec, ModelFacts, Tensor,
    job::{Draft, Rng, Size, Target},
};

use super::*;
use crate::{
    render::{
        Course, Plan,
        pass::{GroupIndex, Pass as Real},
    },
    sample::NoiseSource,
};

fn plan(change: impl FnOnce(&mut Draft)) -> Plan {
    let mut draft = Draft::text_to_image("a cat");
    draft.base = Some(Size { width: 64, height: 64 });
    change(&mut draft);
    Plan::new(&JobSpec::new(draft).unwrap(), &ModelFacts::simulated(), None).unwrap()
}

/// A plan of `columns` x `rows` tiles in batches.
fn tiled((columns, rows): (u32, u32), batch: u32, barrier: bool) -> Plan {
    plan(|job| {
        let side = |tiles: u32| 8 * (6 * tiles + 2);
        job.target = Target::Size(Size { width: side(columns), height: side(rows) });
        (job.tile, job.overlap) = (Some(Size { width: 8, height: 8 }), Some(2));
        (job.steps, job.denoising_strength) = (4, 1.0);
        (job.tile_batch, job.barrier) = (batch, barrier);
    })
}

proptest! {
    /// In whatever order tasks end: the same tasks may run, as urgent, as in the pass that denoises.
    #[test]
    fn the_same_tiles_are_ready_as_in_a_real_pass(
        columns in 1_u32..5,
        rows in 1_u32..4,
        batch in 1_u32..4,
        barrier in any::<bool>(),
        picks in proptest::collection::vec(any::<usize>(), 60),
    ) {
        let plan = tiled((columns, rows), batch, barrier);
        let course = Course::of(&plan);
        let leg = course.main_pass().unwrap();
        let Steps::Pass { plan: pass, .. } = &leg.steps else { panic!("a pass is a pass") };
        let (mut script, ready) = Script::new(leg, usize::MAX);
        let x = vec![0.5; pass.values()];
        let (mut real, groups) = Real::new(pass.clone(), x, NoiseSource::new(Rng::Cpu, 1));
        let as_real = |real: &Real, groups: &[GroupIndex]| -> BTreeSet<_> {
            let one = |&group: &GroupIndex| {
                let (call, _) = real.call(group);
                (group.0 as usize, call, real.neighbours(group), real.slack(group) as u64)
            };
            groups.iter().map(one).collect()
        };
        let as_script = |ready: &[Ready]| -> BTreeSet<_> {
            ready.iter().map(|ready| (ready.index, ready.step, ready.waiting, ready.slack)).collect()
        };
        prop_assert_eq!(as_script(&ready), as_real(&real, &groups));
        let mut open: Vec<usize> = ready.iter().map(|ready| ready.index).collect();
        let mut picks = picks.into_iter().cycle();
        while !open.is_empty() {
            let index = open.swap_remove(picks.next().unwrap() % open.len());
            let group = GroupIndex(u32::try_from(index).unwrap());
            let shape = real.shape(group);
            let output = Tensor::new(shape, vec![0.1; shape.iter().product()]).unwrap();
            let groups = real.complete(group, &output).unwrap();
            let ready = script.complete(index);
            prop_assert_eq!(as_script(&ready), as_real(&real, &groups));
            open.extend(ready.iter().map(|ready| ready.index));
            prop_assert_eq!(script.is_done(), real.is_done());
        }
        prop_assert!(script.is_done());
    }
}

#[test]
fn rounds_meet_at_every_barrier() {
    let plan = plan(|job| job.base = Some(Size { width: 512, height: 512 }));
    let course = Course::of(&plan);
    let decode = course.legs.last().unwrap();
    let Steps::Rounds { tiles, rounds, kept: true } = &decode.steps else { panic!("exact is the default") };
    let (mut script, ready) = Script::new(decode, usize::MAX);
    assert_eq!(ready.len(), tiles.len());
    for round in 1..*rounds {
        (1..tiles.len()).for_each(|tile| assert!(script.complete(tile).is_empty()));
        let next = script.complete(0);
        assert_eq!(next.len(), tiles.len());
        assert!(next.iter().all(|ready| ready.step == round && ready.kept));
        assert_eq!(next[0].class.part as usize, round);
    }
    assert!(!script.is_done());
    (0..tiles.len()).for_each(|tile| assert!(script.complete(tile).is_empty()));
    assert!(script.is_done());
}
