//! Many jobs at once: who gets how much of the devices.

use tessera_coordinator::fleet::Standing;
use tessera_proto::JobId;

use crate::{
    CALLS,
    cluster::{Cluster, Device, Weather},
    picture::{Picture, plan},
};

/// What an interactive job weighs beside a batch job.
const INTERACTIVE: f64 = 16.0;

fn cluster(devices: usize) -> Cluster {
    Cluster::new(&vec![Device::of(20.0); devices], Weather::default())
}

fn submit(cluster: &mut Cluster, id: u64, side: u32, (user, weight): (&str, f64)) -> JobId {
    let standing = Standing { order: id, user: user.to_owned(), weight };
    cluster.submit(Picture::new(id, plan(side, CALLS, false)), standing);
    JobId::new(id)
}

/// The share that a job has of the next `calls`.
fn share(cluster: &mut Cluster, job: JobId, calls: usize) -> f64 {
    let before = cluster.given.len();
    while cluster.given.len() < before + calls {
        assert!(cluster.step(), "jobs ended too early");
    }
    let own = cluster.given[before..].iter().filter(|&&given| given == job).count();
    f64::from(u32::try_from(own).unwrap()) / f64::from(u32::try_from(cluster.given.len() - before).unwrap())
}

#[test]
fn a_pass_of_one_tile_leaves_no_gap_beside_another_job() {
    // As a base picture's: each call waits for the one before it, so one device at most is busy with it.
    let mut cluster = cluster(2);
    submit(&mut cluster, 1, 1, ("a", 1.0));
    submit(&mut cluster, 2, 3, ("a", 1.0));
    let ideal = f64::from(10 * CALLS) / 2.0 * 20.0;
    let busy = ideal / cluster.finish();
    assert!(0.96 < busy, "devices are busy {busy:.3} of the time");
}

#[test]
fn an_interactive_job_goes_first_from_the_next_tile_on() {
    let mut alone = cluster(4);
    let job = submit(&mut alone, 2, 3, ("b", 1.0));
    let takes = alone.finish();
    let mut cluster = cluster(4);
    submit(&mut cluster, 1, 6, ("a", 1.0));
    (0..400).for_each(|_| assert!(cluster.step()));
    let came = cluster.now;
    submit(&mut cluster, job.get(), 3, ("b", INTERACTIVE));
    cluster.finish();
    let took = cluster.ended[&job] - came;
    // A call that runs is not cut short: a tile that becomes ready waits for its end. Equal shares would make it twice.
    assert!(took < 1.5 * takes, "it took {took:.0} ms beside a batch job, {takes:.0} ms alone");
}

#[test]
fn a_batch_job_is_never_at_a_standstill() {
    let mut cluster = cluster(4);
    let batch = submit(&mut cluster, 1, 4, ("a", 1.0));
    submit(&mut cluster, 2, 6, ("b", INTERACTIVE));
    submit(&mut cluster, 3, 6, ("c", INTERACTIVE));
    let share = share(&mut cluster, batch, 800);
    assert!((0.02..0.06).contains(&share), "its share is {share:.3}, 1 in 33 is fair");
}

#[test]
fn users_get_the_same_however_many_jobs_they_have() {
    let mut cluster = cluster(4);
    for id in 1..=3 {
        submit(&mut cluster, id, 4, ("many", 1.0));
    }
    let single = submit(&mut cluster, 4, 6, ("single", 1.0));
    let share = share(&mut cluster, single, 600);
    assert!((0.46..0.54).contains(&share), "the share of the user with one job is {share:.3}");
}

#[test]
fn a_job_that_comes_later_gets_its_share_and_no_more() {
    let mut cluster = cluster(4);
    submit(&mut cluster, 1, 6, ("a", 1.0));
    (0..600).for_each(|_| assert!(cluster.step()));
    let late = submit(&mut cluster, 2, 6, ("b", 1.0));
    let share = share(&mut cluster, late, 400);
    assert!(
        (0.45..0.55).contains(&share),
        "its share is {share:.3}: it does not make up for the time before it came"
    );
}
