//! Inbox to product or quarantine, with lineage and quality, in one transaction.
