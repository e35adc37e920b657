# SPDX-License-Identifier: Apache-2.0
"""HTTPS on one port: HTTP/2 where ALPN says so, else HTTP/1.1, as hypercorn does it: h2 and h11
over asyncio's streams; on another HTTP/2 without TLS. /ask?origin=URL&count=N asks another such
server that often by httpx, on one connection of HTTP/2."""

import asyncio
import json
import os
import ssl
from urllib.parse import parse_qs, urlsplit

import h2.config
import h2.connection
import h2.events
import h11
import httpx

import truth


async def answer(method, target):
    begin_ns = truth.now_ns()
    url = urlsplit(target)
    body = "HTTP/1.1 200 OK\r\n\r\n"
    if url.path == "/ask":
        query = parse_qs(url.query)
        context = ssl.create_default_context(cafile=os.environ["TLS_CERT"])
        async with httpx.AsyncClient(http2=True, http1=False, verify=context) as client:
            answers = [await client.get(f"{query['origin'][0]}/asked")
                       for _ in range(int(query["count"][0]))]
        body = json.dumps([a.status_code for a in answers])
    return body.encode(), lambda: truth.record(method, url.path, 200, begin_ns)


async def by_http2(reader, writer):
    protocol = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    protocol.initiate_connection()
    requests = {}
    writer.write(protocol.data_to_send())
    while data := await reader.read(65536):
        for event in protocol.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                headers = {bytes(k): bytes(v) for k, v in event.headers}
                requests[event.stream_id] = (headers[b":method"].decode(),
                                             headers[b":path"].decode())
            elif isinstance(event, h2.events.DataReceived):
                protocol.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                body, done = await answer(*requests.pop(event.stream_id))
                protocol.send_headers(event.stream_id, [(":status", "200")])
                protocol.send_data(event.stream_id, body, end_stream=True)
                done()
        writer.write(protocol.data_to_send())


async def by_http1(reader, writer):
    protocol = h11.Connection(h11.SERVER)
    request = None
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            protocol.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.EndOfMessage):
            body, done = await answer(request.method.decode(), request.target.decode())
            length = [("Content-Length", str(len(body)))]
            writer.write(protocol.send(h11.Response(status_code=200, headers=length))
                         + protocol.send(h11.Data(data=body)) + protocol.send(h11.EndOfMessage()))
            done()
            protocol.start_next_cycle()
        elif isinstance(event, h11.ConnectionClosed):
            return


async def converse(reader, writer):
    tls = writer.get_extra_info("ssl_object")
    is_http2 = not tls or tls.selected_alpn_protocol() == "h2"
    try:
        await (by_http2 if is_http2 else by_http1)(reader, writer)
    finally:
        writer.close()


async def main():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
    context.set_alpn_protocols(["h2", "http/1.1"])
    await asyncio.start_server(converse, "127.0.0.1", int(os.environ["PLAIN_PORT"]))
    server = await asyncio.start_server(converse, "127.0.0.1", int(os.environ["PORT"]), ssl=context)
    await server.serve_forever()


asyncio.run(main())
