"""Speaks TLS before a server: tls.py PORT SERVERS_PORT NAME, where NAME.pem is the certificate and NAME.key its key."""

import socket
import ssl
import sys
import threading

port, behind, name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{name}.pem", f"{name}.key")


def passes(here, there):
    try:
        while data := here.recv(65536):
            there.sendall(data)
    except OSError:
        pass
    for end in (here, there):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client):
    # Who does not trust the certificate hangs up.
    try:
        client = context.wrap_socket(client, server_side=True)
        server = socket.create_connection(("127.0.0.1", behind))
    except OSError as error:
        print(error, flush=True)
        return
    threading.Thread(target=passes, args=(client, server), daemon=True).start()
    passes(server, client)


listener = socket.create_server(("127.0.0.1", port))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
