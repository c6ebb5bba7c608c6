//! `tessera token`: a role and a name in, a token out; what was given out, and its end.

use std::time::Duration;

use anyhow::anyhow;
use serde::Serialize;
use tessera_coordinator::security::{Authority, Credential, Registry, RegistryError, Role};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{coordinator::State, table::Table};
use crate::{
    access::TLS,
    args::{ListTokenArgs, NewTokenArgs, RevokeArgs, StoreArgs, TokenArgs, TokenCommand},
    exit::Failure,
    output::{Output, Style},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A credential as scripts see it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    id: &'a str,
    kind: &'static str,
    role: &'static str,
    name: &'a str,
    made: String,
    ends: String,
    state: &'static str,
}

/// Makes, lists or ends tokens, in the coordinator's own store: it need not run.
pub(super) async fn run(args: TokenArgs, output: &Output) -> Result<(), Failure> {
    match args.command {
        TokenCommand::New(args) => new(args, output).await,
        TokenCommand::List(args) => list(args, output).await,
        TokenCommand::Revoke(args) => revoke(args, output).await,
    }
}

async fn new(args: NewTokenArgs, output: &Output) -> Result<(), Failure> {
    let role: Role = args.role.parse().map_err(|error| Failure::usage(anyhow!("--role {error}")))?;
    let name = args.name.unwrap_or_else(|| role.to_string());
    let (days, registry) = (args.days, open(&args.store).await?);
    let lifetime = DAY * u32::from(days);
    if let Some(folder) = args.certificate {
        let default = || tessera_worker::home().map(|home| home.join(TLS));
        let authority = args.tls.or_else(default).ok_or_else(|| {
            Failure::usage(anyhow!("there is no home folder with certificates in it: name one with --tls"))
        })?;
        let authority = Authority::open(&authority)
            .map_err(|error| Failure::usage(anyhow!("{error}; `tessera init` makes what it needs")))?;
        registry.certificate(&authority, (role, &name), lifetime, &folder).await.map_err(failure)?;
        output.data(folder.display())?;
        output.note(format_args!("{name}'s certificate ({role}) for {days} days: tls.crt and its tls.key"));
        return Ok(());
    }
    let token = registry.token(role, &name, lifetime).await.map_err(failure)?;
    output.data(token)?;
    output.note(format_args!("{name}'s token ({role}) for {days} days; it cannot be shown again"));
    Ok(())
}

async fn list(args: ListTokenArgs, output: &Output) -> Result<(), Failure> {
    let credentials = known(&args.store).await?.list().await.map_err(failure)?;
    if output.style() == Style::Json {
        return credentials.iter().try_for_each(|credential| output.json(&Row::of(credential)));
    }
    if credentials.is_empty() {
        output.note("no tokens: make one with tessera token new --role submit");
        return Ok(());
    }
    let mut table = Table::new(["id", "kind", "role", "name", "made", "ends", "state"]);
    for credential in &credentials {
        let Row { id, kind, role, name, made, ends, state } = Row::of(credential);
        table.row([id, kind, role, name, made.as_str(), ends.as_str(), state].map(str::to_owned));
    }
    output.data(table)
}

async fn revoke(args: RevokeArgs, output: &Output) -> Result<(), Failure> {
    if !known(&args.store).await?.revoke(&args.id).await.map_err(failure)? {
        let error = anyhow!("no token or certificate {:?} to revoke: see `tessera token list`", args.id);
        return Err(Failure::usage(error));
    }
    output.note(format_args!("{} is revoked; what it let in is shut out within 3 s", args.id));
    Ok(())
}

async fn open(store: &StoreArgs) -> Result<Registry, Failure> {
    Registry::open(&State::database(store)?).await.map_err(failure)
}

/// The tokens of a cluster that has given some out.
async fn known(store: &StoreArgs) -> Result<Registry, Failure> {
    Registry::open(&State::known_database(store)?).await.map_err(failure)
}

fn failure(error: RegistryError) -> Failure {
    match error {
        RegistryError::Random(_) => Failure::failed(error),
        _ => Failure::usage(error),
    }
}

// === impl Row ===

impl<'a> Row<'a> {
    fn of(credential: &'a Credential) -> Self {
        Self {
            id: &credential.id,
            kind: credential.kind.name(),
            role: credential.role.name(),
            name: &credential.name,
            made: date(credential.made),
            ends: date(credential.ends),
            state: match () {
                () if credential.revoked => "revoked",
                () if credential.expired => "expired",
                () => "good",
            },
        }
    }
}

fn date(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| seconds.to_string())
}
