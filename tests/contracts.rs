//! The contracts that ship with Weir are whole: the reader takes each with its schema, without a mistake.

use std::fs;
use std::path::{Path, PathBuf};

use contract::odcs::{self, Source};

use crate::sandbox::root;

/// The folders below `products` that hold a contract.
fn folders(products: &Path) -> Vec<PathBuf> {
    let below = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        entries.map(|entry| entry.expect("an entry of a directory").path()).filter(|path| path.is_dir()).collect()
    };
    let mut found: Vec<PathBuf> = below(products).iter().flat_map(|domain| below(domain)).collect();
    found.sort();
    found
}

#[test]
fn every_contract_in_the_repository_is_whole() {
    let mut folders_seen = 0;
    for products in ["schemas/products", "tests/products"] {
        for folder in folders(&root().join(products)) {
            let name = folder.file_name().expect("a folder has a name").to_string_lossy().into_owned();
            let read = |file: &str| {
                let path = folder.join(file);
                let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                (path.display().to_string(), text)
            };
            let (file, text) = read("contract.odcs.yaml");
            let (schema_file, schema_text) = read(&format!("{name}.avsc"));
            let schema = Source { file: &schema_file, text: &schema_text };
            let whole = match odcs::read(&Source { file: &file, text: &text }, Some(&schema)) {
                Ok(whole) => whole,
                Err(mistakes) => panic!("{file}:\n{mistakes:#?}"),
            };
            let domain =
                folder.parent().and_then(Path::file_name).expect("a product lies in a domain").to_string_lossy();
            assert_eq!(whole.contract.product.to_string(), format!("{domain}.{name}"), "{file}");
            folders_seen += 1;
        }
    }
    assert!(folders_seen >= 8, "only {folders_seen} contracts");
}
