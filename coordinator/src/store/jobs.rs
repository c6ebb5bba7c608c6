//! The table of jobs, in SQLite or PostgreSQL: what was acknowledged in; what a coordinator that starts must know out.
//!
//! An open job belongs to one coordinator, by name and epoch. Who takes a job over raises its epoch, and every write names
//! the epoch that it was made under: one of a coordinator that has lost the job changes nothing. The lease runs by the
//! database's own clock, so those of the coordinators need not agree.

use std::{str::FromStr, time::Duration};

use sqlx::{Row as _, any::AnyRow};
use tessera_proto::{Artifact, JobHistory, JobId, JobStatus};

use super::database::{Database, Error};

/// The table. `status` is that of a job which is over.
pub(super) const TABLE: &str = "CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    place BIGINT NOT NULL,
    owner TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    alive BIGINT NOT NULL,
    model BYTEA,
    kept TEXT,
    status BYTEA,
    files TEXT NOT NULL DEFAULT ''
)";

/// When a job was handed in, ms since 1970 by the database's clock.
pub(super) const SUBMITTED: &str = "ALTER TABLE jobs ADD COLUMN submitted BIGINT";

/// What had happened to a job when it was over.
pub(super) const HISTORY: &str = "ALTER TABLE jobs ADD COLUMN history TEXT";

/// The jobs of all coordinators that share a database.
#[derive(Debug, Clone)]
pub(crate) struct Jobs {
    database: Database,
    owner: String,
}

/// A job that is to be done, and is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) job: JobId,
    /// Its place in the order of submission.
    pub(crate) place: u64,
    pub(crate) epoch: i64,
    /// Content hash of the model that it began with.
    pub(crate) model: Option<[u8; 32]>,
    /// Name of its checkpoint.
    pub(crate) kept: Option<String>,
    /// How long ago it was handed in.
    pub(crate) age: Duration,
}

/// A job that is over.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Over {
    pub(crate) job: JobId,
    pub(crate) place: u64,
    pub(crate) status: JobStatus,
    pub(crate) files: Vec<Artifact>,
    pub(crate) history: JobHistory,
}

/// A job in the table that may be another coordinator's.
#[derive(Debug)]
pub(crate) enum Found {
    /// It is being done.
    Open,
    /// It is over.
    Over(Box<Over>),
}

// === impl Jobs ===

impl Jobs {
    /// The jobs of a database, for a coordinator that no other one is.
    pub(crate) fn new(database: Database) -> Self {
        Self { database, owner: owner() }
    }

    /// Writes a job down that is ours; its epoch is 1.
    pub(crate) async fn insert(&self, job: JobId, place: u64) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO jobs (id, place, owner, epoch, alive, submitted) VALUES ($1, $2, $3, 1, $4, $4)",
        )
        .bind(job.to_string())
        .bind(i64::try_from(place).unwrap_or(i64::MAX))
        .bind(self.owner.clone())
        .bind(self.database.clock().await?)
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// The model that a job runs on is settled. Returns whether the job is still ours under this epoch; so do the others.
    pub(crate) async fn begun(&self, job: JobId, epoch: i64, model: [u8; 32]) -> Result<bool, Error> {
        let query = sqlx::query("UPDATE jobs SET model = $1 WHERE id = $2 AND epoch = $3 AND owner = $4")
            .bind(model.to_vec());
        self.changed(query, job, epoch).await
    }

    /// A job has a checkpoint of this name.
    pub(crate) async fn kept(&self, job: JobId, epoch: i64, name: &str) -> Result<bool, Error> {
        let query = sqlx::query("UPDATE jobs SET kept = $1 WHERE id = $2 AND epoch = $3 AND owner = $4");
        self.changed(query.bind(name.to_owned()), job, epoch).await
    }

    /// A job is over.
    pub(crate) async fn over(
        &self,
        job: JobId,
        epoch: i64,
        (status, files, history): (&JobStatus, &[Artifact], &JobHistory),
    ) -> Result<bool, Error> {
        let files: Vec<_> = files.iter().map(|file| file.name()).collect();
        let sql = "UPDATE jobs SET status = $5, files = $1, history = $6, kept = NULL \
                   WHERE id = $2 AND epoch = $3 AND owner = $4";
        let query = sqlx::query(sql).bind(files.join(" "));
        let query = query.bind(job.to_string()).bind(epoch).bind(self.owner.clone()).bind(status.to_bytes());
        // A history can always be written; a job's end is worth more.
        let query = query.bind(serde_json::to_string(history).ok());
        Ok(query.execute(&self.database.pool).await?.rows_affected() == 1)
    }

    /// Forgets a job that is over.
    pub(crate) async fn forget(&self, job: JobId) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM jobs WHERE id = $1 AND status IS NOT NULL");
        query.bind(job.to_string()).execute(&self.database.pool).await?;
        Ok(())
    }

    /// Takes over the open jobs whose coordinators have not shown themselves for `lease` ms, and those of no lease at all
    /// where that is `None`; oldest first.
    pub(crate) async fn claim(&self, lease: Option<i64>) -> Result<Vec<Open>, Error> {
        let now = self.database.clock().await?;
        let silent_since = lease.map_or(i64::MAX, |lease| now - lease);
        let sql = "UPDATE jobs SET owner = $1, epoch = epoch + 1, alive = $2 \
                   WHERE status IS NULL AND owner <> $1 AND alive < $3 RETURNING id, place, epoch, model, kept, submitted";
        let query = sqlx::query(sql).bind(self.owner.clone()).bind(now).bind(silent_since);
        let rows = query.fetch_all(&self.database.pool).await?;
        let mut jobs = rows.iter().map(|row| open(row, now)).collect::<Result<Vec<_>, _>>()?;
        jobs.sort_by_key(|job| job.place);
        Ok(jobs)
    }

    /// Shows that we live: nobody takes our jobs over meanwhile.
    pub(crate) async fn live(&self) -> Result<(), Error> {
        let query = sqlx::query("UPDATE jobs SET alive = $1 WHERE owner = $2 AND status IS NULL");
        query
            .bind(self.database.clock().await?)
            .bind(self.owner.clone())
            .execute(&self.database.pool)
            .await?;
        Ok(())
    }

    /// The jobs that are over, of all coordinators; oldest first, the last `limit` of them.
    pub(crate) async fn ended(&self, limit: usize) -> Result<Vec<Over>, Error> {
        let sql = "SELECT id, place, status, files, history FROM jobs WHERE status IS NOT NULL \
                   ORDER BY place DESC, id LIMIT $1";
        let rows = sqlx::query(sql)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.database.pool)
            .await?;
        rows.iter().rev().map(over).collect()
    }

    /// A job, whoever has it.
    pub(crate) async fn find(&self, job: JobId) -> Result<Option<Found>, Error> {
        let sql = "SELECT id, place, status, files, history FROM jobs WHERE id = $1";
        let row = sqlx::query(sql).bind(job.to_string()).fetch_optional(&self.database.pool).await?;
        let Some(row) = row else { return Ok(None) };
        let status: Option<Vec<u8>> = row.try_get("status")?;
        Ok(Some(if status.is_none() { Found::Open } else { Found::Over(Box::new(over(&row)?)) }))
    }

    async fn changed(
        &self,
        query: sqlx::query::Query<'_, sqlx::Any, sqlx::any::AnyArguments>,
        job: JobId,
        epoch: i64,
    ) -> Result<bool, Error> {
        let query = query.bind(job.to_string()).bind(epoch).bind(self.owner.clone());
        Ok(query.execute(&self.database.pool).await?.rows_affected() == 1)
    }
}

/// A name that no other coordinator has.
fn owner() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

fn open(row: &AnyRow, now: i64) -> Result<Open, Error> {
    let (job, place) = name(row)?;
    let model: Option<Vec<u8>> = row.try_get("model")?;
    let model = model.map(|hash| hash.try_into().map_err(|_| damaged(job)));
    // Earlier releases did not write it down.
    let submitted: Option<i64> = row.try_get("submitted")?;
    Ok(Open {
        job,
        place,
        epoch: row.try_get("epoch")?,
        model: model.transpose()?,
        kept: row.try_get("kept")?,
        age: submitted
            .map(|at| u64::try_from(now - at).unwrap_or(0))
            .map(Duration::from_millis)
            .unwrap_or_default(),
    })
}

fn over(row: &AnyRow) -> Result<Over, Error> {
    let (job, place) = name(row)?;
    let damaged = || damaged(job);
    let bytes: Vec<u8> = row.try_get("status")?;
    let files: String = row.try_get("files")?;
    let history: Option<String> = row.try_get("history")?;
    let files = files.split_whitespace().map(|name| Artifact::of_name(name).ok_or_else(damaged));
    Ok(Over {
        job,
        place,
        status: JobStatus::from_bytes(&bytes).map_err(|_| damaged())?,
        files: files.collect::<Result<_, _>>()?,
        history: history.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
    })
}

fn name(row: &AnyRow) -> Result<(JobId, u64), Error> {
    let id: String = row.try_get("id")?;
    let place: i64 = row.try_get("place")?;
    let job = JobId::from_str(&id).ok().zip(u64::try_from(place).ok());
    job.ok_or_else(|| damaged(id))
}

fn damaged(job: impl std::fmt::Display) -> Error {
    Error::Damaged { row: format!("job {job}") }
}

#[cfg(test)]
mod tests;
