//! Plan and apply: contracts to topics, schemas and catalog events.
