//! The database behind the tables: a URL in; connections that are told what they must be told, and tables that are up to
//! date, out.

use std::{str::FromStr, time::Duration};

use sqlx::{
    AnyConnection, AnyPool, Connection as _, Row as _, SqlSafeStr,
    any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers},
    migrate::{Migration, MigrationType, Migrator},
};

use super::{credentials, jobs};

/// Older SQLite releases can lose a commit in WAL mode when a checkpoint meets a writer ("WAL-reset bug", fixed in 3.51.3).
const SQLITE: [u32; 3] = [3, 51, 3];

/// How long a database may take to answer before that counts as a fault.
const PATIENCE: Duration = Duration::from_secs(5);

/// The database's clock, ms since 1970.
const SQLITE_NOW: &str = "SELECT CAST(unixepoch('subsec') * 1000 AS BIGINT)";
const POSTGRES_NOW: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

/// Connections to a SQLite file or to PostgreSQL.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(super) pool: AnyPool,
    now: &'static str,
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It does not answer, is full, or refuses.
    #[error("the job store cannot be used: {0}")]
    Database(#[from] sqlx::Error),
    /// Its tables cannot be made.
    #[error("the job store's tables cannot be made: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// SQLite is too old to be trusted.
    #[error(
        "the job store runs on SQLite {found}, which can lose what it has confirmed: 3.51.3 or later is needed"
    )]
    Old {
        /// The version found.
        found: String,
    },
    /// A row is not what was written.
    #[error("{row} of the job store is damaged")]
    Damaged {
        /// The row.
        row: String,
    },
}

// === impl Database ===

impl Database {
    /// Opens the database at a URL, `sqlite:FILE` or `postgres://…`, and brings its tables up to date.
    ///
    /// # Errors
    /// It cannot be reached or used.
    pub(crate) async fn open(url: &str) -> Result<Self, Error> {
        install_default_drivers();
        let is_sqlite = url.starts_with("sqlite:");
        let options = AnyConnectOptions::from_str(url)?;
        // A pool would try again, and say only that it took too long.
        let mut first = AnyConnection::connect_with(&options).await?;
        prepare(&mut first, is_sqlite).await?;
        if is_sqlite {
            let found: String =
                sqlx::query("SELECT sqlite_version()").fetch_one(&mut first).await?.try_get(0)?;
            if !is_sound(&found) {
                return Err(Error::Old { found });
            }
        }
        first.close().await?;
        let pool = AnyPoolOptions::new()
            // SQLite has one writer at a time; the others would wait inside the library.
            .max_connections(if is_sqlite { 1 } else { 4 })
            .acquire_timeout(PATIENCE)
            .after_connect(move |connection, _| Box::pin(prepare(connection, is_sqlite)))
            .connect_lazy_with(options);
        let table = |version, name: &'static str, sql: &'static str| {
            Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
        };
        let tables = vec![
            table(1, "jobs", jobs::TABLE),
            table(2, "credentials", credentials::TABLE),
            table(3, "submitted", jobs::SUBMITTED),
            table(4, "history", jobs::HISTORY),
        ];
        Migrator::with_migrations(tables).run(&pool).await?;
        Ok(Self { pool, now: if is_sqlite { SQLITE_NOW } else { POSTGRES_NOW } })
    }

    /// The database's time, ms since 1970: the clocks of those who share it need not agree.
    pub(super) async fn clock(&self) -> Result<i64, Error> {
        Ok(sqlx::query(self.now).fetch_one(&self.pool).await?.try_get(0)?)
    }
}

/// What a connection to SQLite is told: a commit is on the disk when it is confirmed.
async fn prepare(connection: &mut AnyConnection, is_sqlite: bool) -> Result<(), sqlx::Error> {
    let pragmas = ["PRAGMA busy_timeout = 5000", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"];
    for pragma in pragmas.into_iter().filter(|_| is_sqlite) {
        sqlx::query(pragma).execute(&mut *connection).await?;
    }
    Ok(())
}

fn is_sound(version: &str) -> bool {
    let numbers: Vec<u32> = version.split('.').map_while(|number| number.parse().ok()).collect();
    SQLITE.as_slice() <= numbers.as_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_commit_is_on_the_disk_before_it_is_confirmed() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("a").display());
        let database = Database::open(&url).await.unwrap();
        let answer =
            async |pragma: &'static str| sqlx::query(pragma).fetch_one(&database.pool).await.unwrap();
        let synchronous: i64 = answer("PRAGMA synchronous").await.try_get(0).unwrap();
        assert_eq!(synchronous, 2, "FULL");
        let mode: String = answer("PRAGMA journal_mode").await.try_get(0).unwrap();
        assert_eq!(mode, "wal");
    }

    #[test]
    fn old_sqlite_is_told_from_new() {
        for (version, sound) in [
            ("3.51.3", true),
            ("3.52.0", true),
            ("4.0", true),
            ("3.51.2", false),
            ("3.9.0", false),
            ("", false),
        ] {
            assert_eq!(is_sound(version), sound, "{version}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_database_that_is_none_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "no database ".repeat(100)).unwrap();
        let error = Database::open(&format!("sqlite://{}", file.display())).await.unwrap_err().to_string();
        assert!(error.contains("file is not a database"), "{error}");
    }
}
