//! Names of groups, members and static instances as types of their own, so that a member id is never taken for an
//! instance id. Knows nothing of what they name.

use std::fmt;

use kafka_protocol::messages;
use kafka_protocol::protocol::StrBytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(String);

        impl $name {
            /// The id as it stands on the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            pub(super) fn wire(&self) -> StrBytes {
                StrBytes::from_string(self.0.clone())
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// `group.id` of a consumer group. May be empty for groups that only store offsets.
    GroupId
}

text_id! {
    /// The id that the coordinator gives to one run of a member.
    MemberId
}

text_id! {
    /// `group.instance.id`: the name that a static member keeps over restarts (KIP-345).
    InstanceId
}

impl GroupId {
    pub(super) fn message(&self) -> messages::GroupId {
        messages::GroupId(self.wire())
    }
}

impl From<&messages::GroupId> for GroupId {
    fn from(id: &messages::GroupId) -> Self {
        Self::from(id.as_str())
    }
}

impl MemberId {
    /// A new id in Kafka's form: the instance id, or else the client id, and a random UUID.
    pub(super) fn generate(client_id: &str, instance: Option<&InstanceId>) -> Self {
        Self(format!("{}-{}", instance.map_or(client_id, InstanceId::as_str), Uuid::new_v4()))
    }
}
