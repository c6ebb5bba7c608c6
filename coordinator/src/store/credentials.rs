//! The table of credentials, in the job store's database: hashes of tokens and certificates in; whose they are out.
//!
//! **Invariant: no secret is stored.** Tokens are 256 random bits, so a plain hash of one can neither be turned round nor
//! guessed.

use std::{str::FromStr, time::Duration};

use sqlx::{Row as _, any::AnyRow};

use super::database::{Database, Error};
use crate::security::{Credential, Kind, Role};

/// The table; `parent` is the token that a certificate was bought with. Times are ms since 1970.
pub(super) const TABLE: &str = "CREATE TABLE credentials (
    id TEXT PRIMARY KEY,
    hash BYTEA NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    role TEXT NOT NULL,
    name TEXT NOT NULL,
    parent TEXT,
    made BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    revoked BIGINT
)";

/// Who may do what.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    database: Database,
}

/// A credential to write down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct New<'a> {
    pub(crate) id: &'a str,
    /// Hash of the token or certificate.
    pub(crate) hash: [u8; 32],
    pub(crate) kind: Kind,
    pub(crate) role: Role,
    pub(crate) name: &'a str,
    /// The token that bought it.
    pub(crate) parent: Option<&'a str>,
    pub(crate) lifetime: Duration,
}

// === impl Credentials ===

impl Credentials {
    /// The credentials of a database.
    pub(crate) const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Writes a credential down.
    pub(crate) async fn insert(&self, new: New<'_>) -> Result<(), Error> {
        let now = self.database.clock().await?;
        let lifetime = i64::try_from(new.lifetime.as_millis()).unwrap_or(i64::MAX);
        let sql = "INSERT INTO credentials (id, hash, kind, role, name, parent, made, ends) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        sqlx::query(sql)
            .bind(new.id.to_owned())
            .bind(new.hash.to_vec())
            .bind(new.kind.name())
            .bind(new.role.name())
            .bind(new.name.to_owned())
            .bind(new.parent.map(str::to_owned))
            .bind(now)
            .bind(now.saturating_add(lifetime))
            .execute(&self.database.pool)
            .await?;
        Ok(())
    }

    /// The credential of a hash, good or not any more.
    pub(crate) async fn find(&self, hash: [u8; 32]) -> Result<Option<Credential>, Error> {
        let now = self.database.clock().await?;
        let query = sqlx::query(
            "SELECT id, kind, role, name, parent, made, ends, revoked FROM credentials WHERE hash = $1",
        );
        let row = query.bind(hash.to_vec()).fetch_optional(&self.database.pool).await?;
        row.map(|row| credential(&row, now)).transpose()
    }

    /// All of them, oldest first.
    pub(crate) async fn list(&self) -> Result<Vec<Credential>, Error> {
        let now = self.database.clock().await?;
        let query = sqlx::query(
            "SELECT id, kind, role, name, parent, made, ends, revoked FROM credentials ORDER BY made, id",
        );
        let rows = query.fetch_all(&self.database.pool).await?;
        rows.iter().map(|row| credential(row, now)).collect()
    }

    /// Ends a credential and what was bought with it. Returns how many were good until now.
    pub(crate) async fn revoke(&self, id: &str) -> Result<u64, Error> {
        let sql = "UPDATE credentials SET revoked = $1 WHERE (id = $2 OR parent = $2) AND revoked IS NULL";
        let query = sqlx::query(sql).bind(self.database.clock().await?).bind(id.to_owned());
        Ok(query.execute(&self.database.pool).await?.rows_affected())
    }
}

fn credential(row: &AnyRow, now: i64) -> Result<Credential, Error> {
    let id: String = row.try_get("id")?;
    let (kind, role): (String, String) = (row.try_get("kind")?, row.try_get("role")?);
    let (made, ends): (i64, i64) = (row.try_get("made")?, row.try_get("ends")?);
    let known = Kind::of_name(&kind).zip(Role::from_str(&role).ok());
    let (kind, role) = known.ok_or_else(|| Error::Damaged { row: format!("credential {id}") })?;
    let seconds = |ms: i64| ms.div_euclid(1000);
    Ok(Credential {
        kind,
        role,
        name: row.try_get("name")?,
        parent: row.try_get("parent")?,
        made: seconds(made),
        ends: seconds(ends),
        expired: ends <= now,
        revoked: row.try_get::<Option<i64>, _>("revoked")?.is_some(),
        id,
    })
}

#[cfg(test)]
mod tests {
    use tessera_tests::postgres::Postgres;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    async fn credentials_are_found_until_they_end(url: &str) {
        let credentials = Credentials::new(Database::open(url).await.unwrap());
        let token = New {
            id: "t1",
            hash: [1; 32],
            kind: Kind::Token,
            role: Role::Worker,
            name: "render farm",
            parent: None,
            lifetime: HOUR,
        };
        credentials.insert(token).await.unwrap();
        assert!(credentials.insert(New { id: "t2", ..token }).await.is_err(), "a hash is one credential's");
        let bought = New { id: "c1", hash: [2; 32], kind: Kind::Certificate, parent: Some("t1"), ..token };
        credentials.insert(bought).await.unwrap();
        credentials
            .insert(New { id: "t3", hash: [3; 32], role: Role::Admin, lifetime: Duration::ZERO, ..token })
            .await
            .unwrap();

        let found = credentials.find([1; 32]).await.unwrap().unwrap();
        assert_eq!((found.id.as_str(), found.kind, found.role), ("t1", Kind::Token, Role::Worker));
        assert_eq!((found.name.as_str(), found.ends - found.made), ("render farm", 3600));
        assert!(found.is_good());
        assert!(credentials.find([3; 32]).await.unwrap().unwrap().expired);
        assert_eq!(credentials.find([9; 32]).await.unwrap(), None);
        assert_eq!(credentials.list().await.unwrap().len(), 3);

        assert_eq!(credentials.revoke("t1").await.unwrap(), 2, "with the certificate that it bought");
        assert_eq!(credentials.revoke("t1").await.unwrap(), 0);
        assert!(credentials.find([2; 32]).await.unwrap().unwrap().revoked);
        assert!(!credentials.find([3; 32]).await.unwrap().unwrap().revoked);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn both_databases_keep_credentials() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        credentials_are_found_until_they_end(&format!("sqlite://{}?mode=rwc", file.display())).await;
        credentials_are_found_until_they_end(&Postgres::start().url()).await;
    }
}
