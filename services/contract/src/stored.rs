//! Contracts as the catalog keeps them: the text of both files, read back in one place.

use std::sync::Arc;

use schemas::{ContractVersion, ProductId, Version};

use crate::Contract;
use crate::odcs::{self, Mistake, Source};

/// A contract version of the catalog that this program cannot read. It was whole when it was applied, so a
/// newer release applied it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{product} {version} cannot be read by this program, it was applied by a newer release: upgrade this program ({})",
    said(mistakes)
)]
pub struct Unreadable {
    /// Whose.
    pub product: ProductId,
    /// Which.
    pub version: Version,
    /// What this program does not understand in it.
    pub mistakes: Vec<Mistake>,
}

fn said(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Reads a contract version that the catalog keeps.
///
/// # Errors
/// [`Unreadable`].
pub fn read_back(stored: &ContractVersion) -> Result<Arc<Contract>, Unreadable> {
    let document = Source { file: "contract.odcs.yaml", text: &stored.document };
    let schema = Source { file: "schema.avsc", text: &stored.schema };
    match odcs::read(&document, Some(&schema)) {
        Ok(read) => Ok(Arc::new(read.contract)),
        Err(mistakes) => Err(Unreadable { product: stored.product.clone(), version: stored.version, mistakes }),
    }
}

#[cfg(test)]
mod tests {
    use schemas::{SchemaId, Timestamp};

    use super::*;

    fn stored(document: &str) -> ContractVersion {
        ContractVersion {
            product: "meter.readings".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            document: document.to_owned(),
            schema: r#"{"type":"record","name":"R","fields":[{"name":"seq","type":"long"}]}"#.to_owned(),
            schema_id: SchemaId(1),
            applied_at: Timestamp(0),
            applied_by: "somebody".to_owned(),
            breaking_reason: None,
        }
    }

    const DOCUMENT: &str = "apiVersion: v3.1.0\nkind: DataContract\nid: m\nversion: 1.0.0\nstatus: active\n\
        domain: meter\ndataProduct: readings\nschema:\n  - name: R\n    logicalType: object\n    properties:\n      \
        - name: seq\n        logicalType: integer\n        logicalTypeOptions:\n          minimum: 0\n";

    #[test]
    fn what_was_applied_is_read_back() {
        let contract = read_back(&stored(DOCUMENT)).unwrap();
        assert_eq!((contract.version, contract.rules.len()), ("1.0.0".parse().unwrap(), 1));
    }

    #[test]
    fn what_a_newer_release_applied_says_so() {
        let newer = stored(&DOCUMENT.replace("status: active", "status: active\nshape: round"));
        let unreadable = read_back(&newer).unwrap_err();
        assert_eq!(unreadable.mistakes.len(), 1);
        let text = unreadable.to_string();
        assert!(text.starts_with("meter.readings 1.0.0 cannot be read by this program"), "{text}");
        assert!(text.contains("upgrade this program (contract.odcs.yaml:6:1: "), "{text}");
    }
}
