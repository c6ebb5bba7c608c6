#!/usr/bin/env python3
"""The address of a running coordinator in; its services, and with a prompt the picture of a job, out.

    python grpc_client.py ADDR                            lists services and methods
    python grpc_client.py ADDR "a red house" -o OUT.png   submits, watches, fetches

Nothing is generated and no .proto file is read: message types come from the server's reflection, as any language
would get them.  It stands for all clients that are not ours.
"""

import argparse
import collections
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

PACKAGE = "tessera.v1"
PNG = b"\x89PNG\r\n\x1a\n"
FINAL = {"JOB_STATE_DONE", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED"}
CONNECT_S = 10

CallDetails = collections.namedtuple(
    "CallDetails", ("method", "timeout", "metadata", "credentials", "wait_for_ready", "compression")
)


class ReflectionV1(grpc.StreamStreamClientInterceptor):
    """Sends reflection calls to grpc.reflection.v1: grpcio asks for v1alpha, whose messages are the same."""

    def intercept_stream_stream(self, continuation: Callable, details: Any, requests: Iterator) -> Any:
        """Changes the method's name, nothing else."""
        name = details.method.decode() if isinstance(details.method, bytes) else details.method
        method = name.replace("v1alpha", "v1")
        changed = CallDetails(
            method, details.timeout, details.metadata, details.credentials, details.wait_for_ready, details.compression
        )
        return continuation(changed, requests)


class Client:
    """Calls by name, with message types that the server describes."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address.removeprefix("http://").rstrip("/"))
        try:
            grpc.channel_ready_future(self.channel).result(timeout=CONNECT_S)
        except grpc.FutureTimeoutError:
            raise SystemExit(f"nothing answers at {address}: is `tessera coordinator` running there?") from None
        self.services, database = self.reflect(address)
        self.pool = DescriptorPool(database)

    def reflect(self, address: str) -> tuple[list[str], ProtoReflectionDescriptorDatabase]:
        """The services' full names and where their descriptors come from; v1 first, then v1alpha."""
        for channel in (grpc.intercept_channel(self.channel, ReflectionV1()), self.channel):
            database = ProtoReflectionDescriptorDatabase(channel)
            try:
                return sorted(database.get_services()), database
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNIMPLEMENTED:
                    raise
        raise SystemExit(f"{address} has no reflection service")

    def method(self, name: str) -> MethodDescriptor:
        """Jobs.Submit and the like."""
        service, method = name.split(".")
        return self.pool.FindServiceByName(f"{PACKAGE}.{service}").FindMethodByName(method)

    def call(self, name: str, **fields: Any) -> Message:
        """A call with one answer."""
        method, request = self.prepared(name, fields)
        answer = message_factory.GetMessageClass(method.output_type)
        return self.channel.unary_unary(
            path(method), request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )(request)

    def stream(self, name: str, **fields: Any) -> Iterator[Message]:
        """A call with a stream of answers."""
        method, request = self.prepared(name, fields)
        answer = message_factory.GetMessageClass(method.output_type)
        return self.channel.unary_stream(
            path(method), request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )(request)

    def prepared(self, name: str, fields: dict[str, Any]) -> tuple[MethodDescriptor, Message]:
        """The method and its request, filled from plain values; an unknown field or value is an error."""
        method = self.method(name)
        return method, json_format.ParseDict(fields, message_factory.GetMessageClass(method.input_type)())


def path(method: MethodDescriptor) -> str:
    """/tessera.v1.Jobs/Submit."""
    return f"/{method.containing_service.full_name}/{method.name}"


def enum_name(message: Message, field: str) -> str:
    """The name of an enum field's value."""
    number = getattr(message, field)
    named = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number.get(number)
    return named.name if named else str(number)


def list_services(client: Client) -> None:
    """Prints each service with its methods."""
    for service in client.services:
        try:
            methods = client.pool.FindServiceByName(service).methods
        except KeyError:
            print(f"{service} (not described)")
            continue
        print(service)
        for method in methods:
            streams = ("stream " if method.client_streaming else "", "stream " if method.server_streaming else "")
            print(f"  {method.name}({streams[0]}{method.input_type.name}) -> {streams[1]}{method.output_type.name}")


def job_spec(args: argparse.Namespace) -> dict[str, Any]:
    """A whole JobSpec in protobuf's JSON form; what is left out takes the model's default."""
    spec = {
        "prompt": args.prompt, "negative_prompt": args.negative, "scale": args.scale, "steps": args.steps,
        "cfg_scale": args.cfg, "seed": args.seed, "denoising_strength": args.denoise, "tile_batch": 1,
        "rng": "RNG_CPU", "sampler": "SAMPLER_EULER_A", "schedule": "SCHEDULE_NORMAL",
        "strength_steps": "STRENGTH_STEPS_A1111", "upscaler": "UPSCALER_LANCZOS",
        "tile_method": "TILE_METHOD_MULTIDIFFUSION", "tile_grid": "TILE_GRID_SPREAD", "vae": "VAE_MODE_BLEND",
    }  # fmt: skip
    if args.width and args.height:
        spec["base"] = {"width": args.width, "height": args.height}
    return spec


def render(client: Client, args: argparse.Namespace) -> None:
    """Submits a job, prints its changes, writes its picture."""
    job = client.call("Jobs.Submit", spec=job_spec(args)).job
    print(f"job {job}")
    state, shown = "", None
    for status in client.stream("Jobs.Watch", job=job):
        state = enum_name(status, "state")
        line = f"{state} {enum_name(status, 'stage')} {status.done}/{status.total}"
        if line != shown:
            print(line, flush=True)
            shown = line
        if state in FINAL and state != "JOB_STATE_DONE":
            raise SystemExit(f"{state}: {status.error}")
    if state != "JOB_STATE_DONE":
        raise SystemExit(f"the stream ended in {state or 'no state at all'}")
    picture, total = bytearray(), 0
    for chunk in client.stream("Jobs.Fetch", job=job, artifact="ARTIFACT_PICTURE"):
        picture += chunk.data
        total = chunk.total
    if len(picture) != total or not picture.startswith(PNG):
        raise SystemExit(f"{len(picture)} of {total} bytes came, beginning {bytes(picture[:8])!r}: not a whole PNG")
    args.output.write_bytes(picture)
    print(f"{args.output}: {total:,} bytes")


def main() -> None:
    """Lists, or renders."""
    parser = argparse.ArgumentParser(description="Talk to a tessera coordinator through reflection alone.")
    parser.add_argument("address", help="host:port")
    parser.add_argument("prompt", nargs="?", help="render this; without it the services are listed")
    parser.add_argument("-o", "--output", type=Path, default=Path("out.png"), help="PNG to write (out.png)")
    parser.add_argument("-n", "--negative", default="")
    parser.add_argument("--width", type=int, help="base picture, px (the model's own)")
    parser.add_argument("--height", type=int, help="base picture, px (the model's own)")
    parser.add_argument("--scale", type=float, default=2.0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cfg", type=float, default=7.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--denoise", type=float, default=0.7)
    args = parser.parse_args()
    client = Client(args.address)
    try:
        if args.prompt is None:
            list_services(client)
        else:
            render(client, args)
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")


if __name__ == "__main__":
    main()
