//! DescribeGroups and ListGroups.

use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use super::Groups;
use super::ids::{GroupId, InstanceId, MemberId};
use super::state::{Group, Member, Phase};

/// The state told of groups that do not exist.
const DEAD: &str = "Dead";

/// The type of all groups here, as ListGroups 5 names it.
const CLASSIC: &str = "classic";

/// From this version on ListGroups tells and filters by state.
const LIST_STATES: i16 = 4;

/// From this version on ListGroups tells and filters by type.
const LIST_TYPES: i16 = 5;

impl Groups {
    /// Answers DescribeGroups, versions 0–5. Authorized operations are left for the caller to fill in.
    pub fn describe_groups(&self, request: &DescribeGroupsRequest, _version: i16) -> DescribeGroupsResponse {
        let registry = self.lock();
        let groups = request.groups.iter().map(|id| match registry.groups.get(&GroupId::from(id)) {
            Some(group) => group.describe(),
            None => {
                DescribedGroup::default().with_group_id(id.clone()).with_group_state(StrBytes::from_static_str(DEAD))
            }
        });
        DescribeGroupsResponse::default().with_groups(groups.collect())
    }

    /// Answers ListGroups, versions 0–5. Filters are compared without regard to case; an unknown one matches nothing.
    pub fn list_groups(&self, request: &ListGroupsRequest, version: i16) -> ListGroupsResponse {
        let matches = |filter: &[StrBytes], text: &str| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(text))
        };
        if version >= LIST_TYPES && !matches(&request.types_filter, CLASSIC) {
            return ListGroupsResponse::default();
        }
        let registry = self.lock();
        let listed = registry
            .groups
            .values()
            .filter(|group| version < LIST_STATES || matches(&request.states_filter, group.phase.name()))
            .map(|group| group.list(version));
        ListGroupsResponse::default().with_groups(listed.collect())
    }
}

impl Group {
    fn list(&self, version: i16) -> ListedGroup {
        let mut listed = ListedGroup::default()
            .with_group_id(self.id.message())
            .with_protocol_type(text(self.protocol_type.as_deref()));
        if version >= LIST_STATES {
            listed = listed.with_group_state(StrBytes::from_static_str(self.phase.name()));
        }
        if version >= LIST_TYPES {
            listed = listed.with_group_type(StrBytes::from_static_str(CLASSIC));
        }
        listed
    }

    fn describe(&self) -> DescribedGroup {
        // Before the group is stable what the members have does not belong together.
        let protocol = self.protocol_name.as_deref().filter(|_| self.phase == Phase::Stable);
        let members = self.members.iter().map(|(id, member)| member.describe(id, protocol));
        DescribedGroup::default()
            .with_group_id(self.id.message())
            .with_group_state(StrBytes::from_static_str(self.phase.name()))
            .with_protocol_type(text(self.protocol_type.as_deref()))
            .with_protocol_data(text(protocol))
            .with_members(members.collect())
    }
}

impl Member {
    fn describe(&self, id: &MemberId, protocol: Option<&str>) -> DescribedGroupMember {
        let described = DescribedGroupMember::default()
            .with_member_id(id.wire())
            .with_group_instance_id(self.instance_id.as_ref().map(InstanceId::wire))
            .with_client_id(text(Some(&self.client_id)))
            .with_client_host(text(Some(&self.client_host)));
        match protocol {
            None => described,
            Some(protocol) => described
                .with_member_metadata(self.metadata(protocol).cloned().unwrap_or_default())
                .with_member_assignment(self.assignment.clone()),
        }
    }
}

fn text(text: Option<&str>) -> StrBytes {
    StrBytes::from_string(text.unwrap_or_default().to_owned())
}
