"""A mail server for tests: aiosmtpd on a free port of loopback. It writes its port and each mail that came, one JSON a line.

Arguments: none, starttls or implicit, and a folder with cert.pem and key.pem. With TLS it wants the user looma. Ends with its input.
"""

import asyncio
import json
import os
import ssl
import sys
import threading

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("unknown@"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later@"):
            return "451 4.7.1 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "raw": envelope.content.decode("utf-8", "replace")}
        print(json.dumps(mail), flush=True)
        return "250 OK"


def sign_in(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"looma", b"the-mail-password"))


def end_with_input():
    sys.stdin.read()
    os._exit(0)


async def main(tls, folder):
    threading.Thread(target=end_with_input, daemon=True).start()
    context = None
    if tls != "none":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem"))

    def protocol():
        wants = {"authenticator": sign_in, "auth_required": True} if context else {}
        if tls == "implicit":
            # The library does not see that there is TLS around it.
            wants |= {"auth_require_tls": False}
        if tls == "starttls":
            wants |= {"tls_context": context, "require_starttls": True}
        return SMTP(Handler(), hostname="mail.test", data_size_limit=2 << 20, **wants)

    wrapped = context if tls == "implicit" else None
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=wrapped)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


asyncio.run(main(sys.argv[1], sys.argv[2]))
