//! What each call asks of its caller: a path in, a rule out.

use super::{Kind, Role};

/// What a caller must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Nothing.
    Open,
    /// Any credential of one of these roles.
    Any(&'static [Role]),
    /// A certificate of this role.
    Certificate(Role),
}

/// The rule for a gRPC path, `/package.Service/Method`. What is not known here asks for a credential like anything else.
pub(super) fn of(path: &str) -> Rule {
    match path.rsplit_once('/').unwrap_or(("", path)) {
        // Probes of service managers have nothing to show, and it says nothing but that we are up.
        ("/grpc.health.v1.Health", _) => Rule::Open,
        ("/tessera.v1.Fleet", "Enroll") => Rule::Any(&[Role::Worker]),
        ("/tessera.v1.Fleet", _) => Rule::Certificate(Role::Worker),
        ("/tessera.v1.Models", "List") => Rule::Any(&Role::ALL),
        ("/tessera.v1.Models", "Get" | "Manifest") => Rule::Any(&[Role::Worker, Role::Admin]),
        ("/tessera.v1.Models", _) => Rule::Any(&[Role::Admin]),
        ("/tessera.v1.Jobs", "Drain") => Rule::Any(&[Role::Admin]),
        ("/tessera.v1.Jobs", _) => Rule::Any(&[Role::Submit, Role::Admin]),
        _ => Rule::Any(&Role::ALL),
    }
}

// === impl Rule ===

impl Rule {
    /// Whether a credential is enough.
    pub(super) fn allows(self, kind: Kind, role: Role) -> bool {
        match self {
            Self::Open => true,
            Self::Any(roles) => roles.contains(&role),
            Self::Certificate(wanted) => kind == Kind::Certificate && role == wanted,
        }
    }

    /// Who may, for people.
    pub(super) fn who(self) -> String {
        match self {
            Self::Open => "anybody".to_owned(),
            Self::Any(roles) => roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(" or "),
            Self::Certificate(role) => format!("{role} with a certificate"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_has_its_rule() {
        let allowed = |path: &str| -> Vec<(Kind, Role)> {
            let kinds = [Kind::Token, Kind::Certificate];
            let all = kinds.into_iter().flat_map(|kind| Role::ALL.map(|role| (kind, role)));
            all.filter(|&(kind, role)| of(path).allows(kind, role)).collect()
        };
        assert_eq!(allowed("/grpc.health.v1.Health/Check").len(), 6);
        assert_eq!(allowed("/tessera.v1.Fleet/Attend"), [(Kind::Certificate, Role::Worker)]);
        assert_eq!(
            allowed("/tessera.v1.Fleet/Enroll"),
            [(Kind::Token, Role::Worker), (Kind::Certificate, Role::Worker)]
        );
        assert_eq!(
            allowed("/tessera.v1.Jobs/Drain"),
            [(Kind::Token, Role::Admin), (Kind::Certificate, Role::Admin)]
        );
        assert!(!allowed("/tessera.v1.Jobs/Submit").contains(&(Kind::Token, Role::Worker)));
        assert!(allowed("/tessera.v1.Jobs/Submit").contains(&(Kind::Token, Role::Submit)));
        for call in ["Lacking", "Put", "Register", "Remove", "What"] {
            let path = format!("/tessera.v1.Models/{call}");
            assert_eq!(
                allowed(&path),
                [(Kind::Token, Role::Admin), (Kind::Certificate, Role::Admin)],
                "{path}"
            );
        }
        for call in ["Get", "Manifest"] {
            let allowed = allowed(&format!("/tessera.v1.Models/{call}"));
            assert!(allowed.contains(&(Kind::Certificate, Role::Worker)), "{call}");
            assert!(!allowed.contains(&(Kind::Token, Role::Submit)), "{call}");
        }
        assert_eq!(allowed("/tessera.v1.Models/List").len(), 6);
        for path in ["", "/", "nonsense", "/tessera.v1.Jobs2/Submit", "/tessera.v1.Jobs/x/Submit"] {
            assert_ne!(of(path), Rule::Open, "{path:?}");
        }
    }
}
