//! Making topics.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use crate::PeerError;

const DEADLINE: Duration = Duration::from_secs(30);

/// Makes a topic with one copy of each of its `partitions`.
///
/// # Errors
/// The broker refuses, or does not answer within 30 s.
pub fn create_topic(bootstrap: &str, topic: &str, partitions: i32) -> Result<(), PeerError> {
    let failed = |why: &dyn std::fmt::Display| PeerError::new(format!("create the topic {topic}"), bootstrap, why);
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().map_err(|error| failed(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| failed(&error))?;
    let options = AdminOptions::new().request_timeout(Some(DEADLINE)).operation_timeout(Some(DEADLINE));
    let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let made = runtime.block_on(admin.create_topics([&wanted], &options)).map_err(|error| failed(&error))?;
    for result in made {
        result.map_err(|(_, code)| failed(&code))?;
    }
    Ok(())
}
