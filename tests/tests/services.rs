//! What any gRPC client may ask of a coordinator: its health, and its contract by reflection.

use tessera_tests::cluster::Cluster;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

async fn channel(url: &str) -> Channel {
    let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL");
    endpoint.connect().await.expect("the coordinator listens")
}

async fn status(url: &str, service: &str) -> Result<ServingStatus, tonic::Code> {
    let mut client = HealthClient::new(channel(url).await);
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = client.check(request).await.map_err(|status| status.code())?;
    Ok(answer.into_inner().status())
}

async fn reflected(url: &str, question: MessageRequest) -> MessageResponse {
    let mut client = ServerReflectionClient::new(channel(url).await);
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let answers = client.server_reflection_info(tokio_stream::once(request)).await;
    let mut answers = answers.expect("reflection is served").into_inner();
    let answer = answers.message().await.expect("an answer").expect("an answer");
    answer.message_response.expect("an answer says something")
}

#[tokio::test]
async fn health_knows_all_services() {
    let cluster = Cluster::start(&[]);
    for service in ["", "tessera.v1.Jobs", "tessera.v1.Fleet", "externalscaler.ExternalScaler"] {
        assert_eq!(status(cluster.url(), service).await, Ok(ServingStatus::Serving), "{service:?}");
    }
    assert_eq!(status(cluster.url(), "tessera.v1.Nothing").await, Err(tonic::Code::NotFound));
}

#[tokio::test]
async fn reflection_lists_the_services_and_describes_them() {
    let cluster = Cluster::start(&[]);
    let listed = reflected(cluster.url(), MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(services) = listed else {
        panic!("no list: {listed:?}");
    };
    let names: Vec<_> = services.service.iter().map(|service| service.name.as_str()).collect();
    let expected =
        ["tessera.v1.Jobs", "tessera.v1.Fleet", "externalscaler.ExternalScaler", "grpc.health.v1.Health"];
    for name in expected {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }
    let question = MessageRequest::FileContainingSymbol("tessera.v1.Jobs".to_owned());
    let described = reflected(cluster.url(), question).await;
    let MessageResponse::FileDescriptorResponse(files) = described else {
        panic!("no description: {described:?}");
    };
    let bytes = files.file_descriptor_proto.concat();
    let text = String::from_utf8_lossy(&bytes);
    for method in ["Submit", "Watch", "Cancel", "List", "Workers", "Fetch"] {
        assert!(text.contains(method), "{method} is missing");
    }
}
