//! The port on Apache Kafka, by rdkafka and schema_registry_converter.
