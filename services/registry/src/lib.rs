//! A Confluent-compatible schema registry over the _schemas topic.
