"""An echo server with TLS, and a client that trusts it.

    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost \\
        -addext subjectAltName=DNS:localhost -keyout key.pem -out certificate.pem
    python examples/tls_echo.py serve --certificate certificate.pem --key key.pem [--port 8443]
    python examples/tls_echo.py say hello --certificate certificate.pem [--port 8443]

Shows both ends of TLS with streams, limits for a peer that never finishes its handshake, and a proper end.
"""

import argparse
import ssl

import yibu as asyncio


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection. The handshake is over when this is called."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the client is gone
    finally:
        writer.close()


async def serve(port: int, certificate: str, key: str | None) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(echo, "127.0.0.1", port, ssl=context, ssl_handshake_timeout=10)
    print("listening on", *server.sockets[0].getsockname(), flush=True)
    async with server:
        await server.serve_forever()


async def say(text: str, port: int, certificate: str) -> None:
    """Send a text, and print what comes back. The server's certificate is the only one that is trusted."""
    context = ssl.create_default_context(cafile=certificate)
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
        version = writer.get_extra_info("ssl_object").version()
        writer.write(text.encode())
        answer = await reader.readexactly(len(text.encode()))
        print(f"{answer.decode()} ({version})")
        writer.close()
        await writer.wait_closed()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Echo with TLS.")
    parser.add_argument("mode", choices=("serve", "say"))
    parser.add_argument("text", nargs="?", default="hello")
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument("--certificate", default="certificate.pem")
    parser.add_argument("--key", help="default: in the file of the certificate")
    options = parser.parse_args()
    try:
        if options.mode == "serve":
            asyncio.run(serve(options.port, options.certificate, options.key))
        else:
            asyncio.run(say(options.text, options.port, options.certificate))
    except KeyboardInterrupt:
        print("closed")
