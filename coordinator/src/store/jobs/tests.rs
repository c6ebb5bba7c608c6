//! The same tests against both databases.

use std::time::Duration;

use tessera_proto::{
    JobEvent, JobState, Stage,
    job::{Format, Urgency},
};
use tessera_tests::postgres::Postgres;

use super::*;

const HASH: [u8; 32] = [0xa7; 32];

fn status(job: JobId) -> JobStatus {
    JobStatus {
        job,
        state: JobState::Done,
        stage: Stage::Save,
        stage_done: 0,
        stage_total: 0,
        done: 3,
        total: 3,
        age_ms: 5,
        stage_ms: 1,
        workers: 1,
        failure: None,
        notes: vec!["rounded".to_owned()],
        paused: None,
        format: Format::default(),
        size: None,
        user: "ann".to_owned(),
        priority: Urgency::Interactive,
    }
}

fn history() -> JobHistory {
    let events = vec![JobEvent { at_ms: 7, message: "handed in".to_owned() }];
    JobHistory { events, left_out: 1 }
}

async fn open(url: &str) -> Jobs {
    Jobs::new(Database::open(url).await.unwrap())
}

async fn a_job_is_found_again(url: &str) {
    let (one, two) = (JobId::new(u64::MAX), JobId::new(2));
    let jobs = open(url).await;
    jobs.insert(two, 8).await.unwrap();
    jobs.insert(one, 7).await.unwrap();
    assert!(jobs.insert(one, 9).await.is_err(), "ids are not given twice");
    assert!(jobs.begun(one, 1, HASH).await.unwrap());
    assert!(jobs.kept(one, 1, "1").await.unwrap());
    assert!(!jobs.kept(one, 2, "2").await.unwrap(), "that epoch has not begun");
    assert!(jobs.claim(None).await.unwrap().is_empty(), "they are ours already");

    let next = open(url).await;
    let mut claimed = next.claim(None).await.unwrap();
    for open in &mut claimed {
        let age = std::mem::take(&mut open.age);
        assert!(age < Duration::from_secs(60), "it was handed in just now: {age:?}");
    }
    let (model, age) = (Some(HASH), Duration::ZERO);
    assert_eq!(
        claimed,
        [
            Open { job: one, place: 7, epoch: 2, model, kept: Some("1".to_owned()), age },
            Open { job: two, place: 8, epoch: 2, model: None, kept: None, age },
        ]
    );
    // The first owner has not noticed.
    assert!(!jobs.begun(two, 1, HASH).await.unwrap());
    assert!(!jobs.kept(one, 1, "x").await.unwrap());
    assert!(!jobs.over(one, 1, (&status(one), &[], &history())).await.unwrap());
    assert!(!jobs.begun(two, 2, HASH).await.unwrap(), "the epoch is right, the owner is not");

    let files = [Artifact::Picture, Artifact::Report];
    assert!(next.over(one, 2, (&status(one), &files, &history())).await.unwrap());
    assert!(next.claim(None).await.unwrap().is_empty());
    let over = Over { job: one, place: 7, status: status(one), files: files.to_vec(), history: history() };
    assert_eq!(jobs.ended(9).await.unwrap(), [over], "everyone sees what is over");
    next.forget(two).await.unwrap();
    next.forget(one).await.unwrap();
    assert!(next.ended(9).await.unwrap().is_empty());
    assert_eq!(jobs.claim(None).await.unwrap().len(), 1, "an open job cannot be forgotten");
}

async fn a_job_whose_owner_lives_is_left_alone(url: &str) {
    let (alive, other) = (open(url).await, open(url).await);
    let job = JobId::new(77);
    alive.insert(job, 1).await.unwrap();
    assert!(other.claim(Some(60_000)).await.unwrap().is_empty());
    tokio::time::sleep(Duration::from_millis(30)).await;
    alive.live().await.unwrap();
    let mine = |jobs: &[Open]| jobs.iter().any(|open| open.job == job);
    assert!(!mine(&other.claim(Some(20)).await.unwrap()), "it has just shown itself");
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert!(mine(&other.claim(Some(20)).await.unwrap()), "it was silent");
    alive.live().await.unwrap();
    assert!(other.begun(job, 2, HASH).await.unwrap(), "it does not get the job back by living");
}

async fn the_last_jobs_are_listed_in_their_order(url: &str) {
    let jobs = open(url).await;
    for place in 1..=5 {
        let job = JobId::new(100 + place);
        jobs.insert(job, place).await.unwrap();
        assert!(jobs.over(job, 1, (&status(job), &[], &history())).await.unwrap());
    }
    let places: Vec<u64> = jobs.ended(3).await.unwrap().iter().map(|over| over.place).collect();
    assert_eq!(places, [3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite://{}?mode=rwc", folder.path().join(name).display());
    a_job_is_found_again(&url("a")).await;
    a_job_whose_owner_lives_is_left_alone(&url("b")).await;
    the_last_jobs_are_listed_in_their_order(&url("c")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_jobs() {
    let server = Postgres::start();
    a_job_is_found_again(&server.url()).await;
    a_job_whose_owner_lives_is_left_alone(&server.url()).await;
    the_last_jobs_are_listed_in_their_order(&server.url()).await;
}
