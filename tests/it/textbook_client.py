"""A client as UDP textbooks teach it: ask, wait, ask again after twice the time, give up in the end.

Usage: textbook_client.py HOST PORT TEXT [LOCAL_PORT]

Prints the number of attempts and the answer. Exit code 1: nobody answered.
"""

import socket
import sys

FIRST_DELAY = 0.1  # seconds
LONGEST_DELAY = 2.0


def ask(host, port, text, local_port):
    """Returns (attempts, answer), or raises TimeoutError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", local_port))
        sock.connect((host, port))
        delay, attempts = FIRST_DELAY, 0
        while delay <= LONGEST_DELAY:
            attempts += 1
            sock.send(text.encode())
            sock.settimeout(delay)
            try:
                return attempts, sock.recv(65535).decode()
            except socket.timeout:
                delay *= 2
        raise TimeoutError(f"{host} port {port} is silent after {attempts} attempts")


def main(host, port, text, local_port="0"):
    try:
        attempts, answer = ask(host, int(port), text, int(local_port))
    except TimeoutError as error:
        sys.exit(str(error))
    print(f"attempts: {attempts}\nanswer: {answer}")


if __name__ == "__main__":
    main(*sys.argv[1:])
