"""Socket.IO, protocol 4 (on Engine.IO 3) and 5 (on Engine.IO 4), as it can be seen on the wire.

Sources: the texts of the protocol ("Socket.IO protocol", v4 and v5) and what the official server was seen to send.
Where we differ from it on purpose, the test says so.
"""

import json
import time
import uuid

import pytest

from tests.support.talk import ANY_DOOR, Polling, Talk, happened
from tests.support.wire import Gone

#: What is decided behind the doors, in large tables.
behind_the_doors = pytest.mark.parametrize("door", ANY_DOOR, indirect=True, scope="session")

PLACEHOLDER = '{"_placeholder":true,"num":%d}'


@pytest.fixture
def v5(server, way):
    """Opens clients of protocol 5."""
    clients = []

    def open_(query: str = "") -> Talk:
        clients.append(Talk(server.port, 4, way, query))
        return clients[-1]

    yield open_
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def v4(server, way):
    """Opens clients of protocol 4."""
    clients = []

    def open_(query: str = "") -> Talk:
        clients.append(Talk(server.port, 3, way, query))
        return clients[-1]

    yield open_
    for client in clients:
        client.__exit__(None, None, None)


def data_of(packet: str, head: str):
    """The JSON behind the head of a packet."""
    assert packet.startswith(head), packet
    return json.loads(packet[len(head) :])


# --- connection to a namespace ----------------------------------------------------------------------------------------


def test_connect_to_the_default_namespace_of_v5(v5):
    client = v5()
    client.send("40")
    reply = data_of(client.text(), "40")
    assert set(reply) == {"sid"}
    assert reply["sid"] != client.sid
    assert len(reply["sid"]) >= 20


def test_client_of_v5_is_in_nothing_before_it_asks(v5):
    client = v5()
    client.send('40/admin,{"token":"x"}')
    assert set(data_of(client.text(), "40/admin,")) == {"sid"}


def test_sids_of_v5_are_random_per_namespace(v5):
    client = v5()
    client.send("40")
    first = data_of(client.text(), "40")["sid"]
    client.send("40/admin,")
    second = data_of(client.text(), "40/admin,")["sid"]
    assert first not in second


def test_connect_to_the_default_namespace_of_v4(v4):
    assert v4().text() == "40"


def test_first_get_of_v4_is_as_it_was_recorded(server):
    polling = Polling(server.port, 3)
    body = polling.opening.body if polling.opening.body.endswith(b"2:40") else polling.get().body
    assert body.endswith(b"2:40")


def test_sids_of_v4_are_those_that_the_client_works_out(v4):
    client = v4("&welcome=1")
    assert client.text() == "40"
    assert data_of(client.text(), "42")[1]["sid"] == client.sid
    assert data_of(client.text(), "42") == ["arrived", client.sid]
    client.send("40/admin")
    assert client.text() == "40/admin,"
    assert data_of(client.text(), "42/admin,")[1]["sid"] == f"/admin#{client.sid}"


def test_second_connect_of_v4_is_tolerated(v4):
    """Differs from the official server, which closes."""
    client = v4()
    client.join()
    client.send("40", '42["say",1]')
    assert client.text() == '42["said",1]'


@behind_the_doors
@pytest.mark.parametrize("payload", ['{"token":"ü"}', "{}", ""])
def test_auth_of_v5_is_the_payload_of_connect(v5, payload):
    client = v5("&welcome=1")
    client.send("40" + payload)
    data_of(client.text(), "40")
    assert data_of(client.text(), "42")[1]["auth"] == (json.loads(payload) if payload else None)


def test_namespaces_of_v4_carry_a_query(v4):
    client = v4("&welcome=1")
    for _ in range(3):
        client.text()
    client.send("40/admin?token=x&y=%C3%BC,")
    assert client.text() == "40/admin,"
    welcome = data_of(client.text(), "42/admin,")[1]
    assert (welcome["query"], welcome["auth"]) == ("token=x&y=%C3%BC", None)
    client.send('42/admin,["say",1]')
    assert data_of(client.text(), "42/admin,") == ["arrived", f"/admin#{client.sid}"]
    assert client.text() == '42/admin,["said",1]'


def test_namespace_beyond_ascii(v5):
    client = v5()
    client.send("40/grüße,")
    data_of(client.text(), "40/grüße,")
    client.send('42/grüße,7["echo","ü"]')
    assert client.text() == '43/grüße,7["ü"]'


def test_refusal_of_v5(v5):
    client = v5("&refuse=not%20you")
    client.send("40")
    assert data_of(client.text(), "44") == {"message": "not you"}
    client.send('40/admin,{"data":"[{\\"code\\":1}]"}')
    assert data_of(client.text(), "44/admin,") == {"message": "not you", "data": {"code": 1}}


def test_refusal_of_v4_is_the_message_alone_or_the_data_alone(v4):
    client = v4("&refuse=not%20you")
    assert client.text() == '44"not you"'
    client.send("40/admin")
    assert client.text() == '44/admin,"not you"'


def test_refusal_of_v4_with_data(v4):
    client = v4("&refuse=not%20you&data=%5B%7B%22k%22:1%7D%5D")
    assert client.text() == '44{"k":1}'
    client.send("40/admin")
    assert client.text() == '44/admin,{"k":1}'


def test_client_may_try_again_after_a_refusal(v5):
    client = v5()
    client.send('40{"refuse":"no"}')
    assert data_of(client.text(), "44") == {"message": "no"}
    client.send("40")
    data_of(client.text(), "40")


def test_namespace_that_does_not_exist(talk, revision):
    client = talk()
    client.join()
    client.send("40/nope,")
    assert client.text() == '44/nope,{"message":"Invalid namespace"}'
    client.send('42["say",1]')
    assert client.text() == '42["said",1]'


def test_connect_timeout(patient, way):
    """Who joins no namespace is closed; who joins one is not."""
    with Talk(patient.port, 4, way) as idle, Talk(patient.port, 4, way) as member:
        member.join()
        with pytest.raises(Gone):
            idle.receive()
        member.send('42["say",1]')
        assert member.text() == '42["said",1]'


def test_what_a_connect_handler_emits_comes_behind_the_connect_reply(v5):
    client = v5("&welcome=1&slow=1")
    client.send("40")
    sid = data_of(client.text(), "40")["sid"]
    assert data_of(client.text(), "42")[1]["sid"] == sid
    assert data_of(client.text(), "42") == ["arrived", sid]


def test_events_sent_before_the_connect_reply_are_held(v5):
    """Differs from the official server, which closes a client that talks while its connect handler runs."""
    client = v5("&slow=1")
    client.send("40", '420["echo",1]', '42["say",2]')
    data_of(client.text(), "40")
    assert sorted((client.text(), client.text())) == ['42["said",2]', "430[1]"]


# --- events and acks --------------------------------------------------------------------------------------------------


@behind_the_doors
@pytest.mark.parametrize(
    "args",
    [
        "",
        ",1",
        ',"a","b"',
        ",null,true,false",
        ',{"a":[1.5,{"b":"c"}]}',
        ',"ü€😀\\n\\u2028"',
        ',""',
        ",[]",
        ',9007199254740993,-1e3,"\\""',
    ],
)
def test_event(talk, args):
    client = talk()
    client.join()
    client.send(f'42["say"{args}]')
    assert data_of(client.text(), "42") == json.loads(f'["said"{args}]')


@behind_the_doors
@pytest.mark.parametrize("id", ["0", "1", "12", "456789", "9" * 30, "1" * 100])
def test_ack_of_the_server(talk, id):
    """Also for ids of up to 100 digits, as the Python client may write them; from an official one they are small."""
    client = talk()
    client.join()
    client.send(f'42{id}["echo",1,"two"]')
    assert client.text() == f'43{id}[1,"two"]'


def test_ack_without_arguments(talk):
    client = talk()
    client.join()
    client.send('427["echo"]')
    assert client.text() == "437[]"


def test_ack_of_the_client(talk):
    client = talk()
    client.join()
    client.send('42["ask",1]')
    question = client.text()
    id = question[2 : question.index("[")]
    assert question == f'42{id}["question",1]'
    client.send(f'43{id}["yes",{{"x":1}}]')
    assert client.text() == '42["answered",["yes",{"x":1}]]'


def test_acks_that_nobody_waits_for_are_dropped(talk):
    client = talk()
    client.join()
    client.send('42["ask",1]')
    question = client.text()
    id = question[2 : question.index("[")]
    client.send(f'43{id}["first"]', f'43{id}["second"]', "43777[]", '42["say",1]')
    assert sorted((client.text(), client.text())) == ['42["answered","first"]', '42["said",1]']


def test_acks_are_counted_apart_in_each_namespace(talk):
    client = talk()
    client.join()
    client.send("40/admin,")
    client.text()
    client.send('42["ask",1]')
    first = client.text()
    client.send('42/admin,["ask",2]')
    second = client.text()
    assert (first, second) == ('420["question",1]', '42/admin,0["question",2]')
    client.send('43/admin,0["b"]')
    assert client.text() == '42/admin,["answered","b"]'
    client.send('430["a"]')
    assert client.text() == '42["answered","a"]'


def test_event_that_nobody_handles_is_dropped(talk):
    """And its ack never comes, as with the official server."""
    client = talk()
    client.join()
    client.send('427["unheard of"]', "4210[5]", '42["say",1]')
    assert client.text() == '42["said",1]'


def test_thousand_events_come_in_order(talk):
    client = talk()
    client.join()
    client.send('42["many",1000]')
    assert [client.text() for _ in range(1000)] == [f'42["number",{number}]' for number in range(1000)]


# --- binary -----------------------------------------------------------------------------------------------------------


def test_binary_event(talk):
    client = talk()
    client.join()
    client.send(f'452-["say",{PLACEHOLDER % 0},{{"deep":[{PLACEHOLDER % 1}]}}]', b"\x01\x02", b"")
    packet = client.text()
    assert packet.startswith("452-")
    assert json.loads(packet[4:]) == [
        "said",
        {"_placeholder": True, "num": 0},
        {"deep": [{"_placeholder": True, "num": 1}]},
    ]
    assert [client.receive(), client.receive()] == [b"\x01\x02", b""]


def test_binary_ack(talk):
    client = talk()
    client.join()
    client.send(f'451-13["echo",{PLACEHOLDER % 0}]', b"\xff\x00")
    assert client.text() == f"461-13[{PLACEHOLDER % 0}]"
    assert client.receive() == b"\xff\x00"


def test_binary_in_another_namespace(talk):
    client = talk()
    client.join()
    client.send("40/admin,")
    client.text()
    client.send(f'451-/admin,5["echo",{PLACEHOLDER % 0}]', b"x")
    assert client.text() == f"461-/admin,5[{PLACEHOLDER % 0}]"
    assert client.receive() == b"x"


def test_attachments_are_placed_by_their_numbers(talk):
    client = talk()
    client.join()
    client.send(f'452-9["echo",{PLACEHOLDER % 1},{PLACEHOLDER % 0}]', b"zero", b"one")
    assert client.text() == f"462-9[{PLACEHOLDER % 0},{PLACEHOLDER % 1}]"
    assert [client.receive(), client.receive()] == [b"one", b"zero"]


def test_ten_attachments_are_taken(talk):
    client = talk()
    client.join()
    placeholders = ",".join(PLACEHOLDER % number for number in range(10))
    client.send(f'4510-1["echo",{placeholders}]', *(bytes([number]) for number in range(10)))
    assert client.text() == f"4610-1[{placeholders}]"
    assert [client.receive() for _ in range(10)] == [bytes([number]) for number in range(10)]


# --- what is wrong ----------------------------------------------------------------------------------------------------

WRONG = [
    "4",
    "4x",
    "47",
    "42",
    '42{"a":1}',
    "42[]",
    "42[null]",
    "42[true]",
    '42[["x"]]',
    "42[1.5]",
    '42["say",1',
    '42["say"]x',
    '42["say",NaN]',
    '42["say",1]]',
    '42["connect"]',
    '42["connect_error"]',
    '42["disconnect"]',
    '42["disconnecting"]',
    '42["newListener"]',
    '42["removeListener"]',
    "43",
    "431",
    '431{"a":1}',
    "41[]",
    '41"x"',
    "44",
    '44{"message":"x"}',
    '40"x"',
    "40[1]",
    "45",
    '45["say"]',
    '4511-["say"]',
    '45999999999-["say"]',
    '451-["disconnect",{"_placeholder":true,"num":0}]',
    '421-["say"]',
]


@behind_the_doors
@pytest.mark.parametrize("packet", WRONG, ids=lambda packet: packet[:24])
def test_wrong_packet_ends_that_session_alone(talk, server, bystander, packet):
    """Differs from the official server in one: a CONNECT_ERROR of a client is an error, too."""
    token = uuid.uuid4().hex
    client = talk(f"&token={token}")
    client.join()
    client.provoke(packet)
    client.closed()
    assert happened(server.port, token, 2) == ["/ connect", "/ parse error"]
    bystander()


WRONG_BINARY = [
    (f'451-["say",{PLACEHOLDER % 0}]', '42["say",1]'),  # text while an attachment is due
    (b"\x01",),  # an attachment that belongs to nothing
    (f'451-["say",{PLACEHOLDER % 1}]', b"\x01"),
    ('451-["say",{"_placeholder":true,"num":-1}]', b"\x01"),
    ('451-["say",{"_placeholder":true,"num":"0"}]', b"\x01"),
    ('451-["say",{"_placeholder":true}]', b"\x01"),
    ('451-["say",1]', b"\x01"),
    (f'451-["say",{PLACEHOLDER % 0}]', b"\x01", b"\x02"),
]


@behind_the_doors
@pytest.mark.parametrize("packets", WRONG_BINARY, ids=lambda packets: str(packets)[:50])
def test_wrong_attachments_end_that_session_alone(talk, server, bystander, packets):
    token = uuid.uuid4().hex
    client = talk(f"&token={token}")
    client.join()
    client.provoke(*packets)
    client.closed()
    assert happened(server.port, token, 2) == ["/ connect", "/ parse error"]
    bystander()


@behind_the_doors
@pytest.mark.parametrize("packet", ["40", '40{"token":1}', "44"])
def test_second_connect_of_v5_ends_the_session(v5, packet):
    client = v5()
    client.join()
    client.provoke(packet)
    client.closed()


@behind_the_doors
@pytest.mark.parametrize("packet", ['42["say",1]', '42/admin,["say",1]', "430[]", "43/nope,0[]"])
def test_packet_for_a_namespace_that_was_not_joined_ends_the_session_in_v5(v5, packet):
    client = v5()
    client.provoke(packet)
    client.closed()


@behind_the_doors
@pytest.mark.parametrize("packet", ['42/admin,["say",1]', "43/admin,0[]", '42/nope,["say",1]'])
def test_packet_for_a_namespace_that_was_not_joined_is_dropped_in_v4(v4, packet):
    """Differs from the official server, which closes: what crosses our refusal on the way is no fault."""
    client = v4()
    client.join()
    client.send(packet, '42["say",1]')
    assert client.text() == '42["said",1]'


# --- disconnection ----------------------------------------------------------------------------------------------------


def test_client_leaves_one_namespace(talk, server):
    token = uuid.uuid4().hex
    client = talk(f"&token={token}")
    client.join()
    client.send("40/admin,")
    client.text()
    client.send("41/admin,")
    assert happened(server.port, token, 3)[2] == "/admin client namespace disconnect"
    client.send('42["say",1]')
    assert client.text() == '42["said",1]'


def test_client_leaves_the_default_namespace_and_stays_in_the_other(talk, server):
    token = uuid.uuid4().hex
    client = talk(f"&token={token}")
    client.join()
    client.send("40/admin,")
    client.text()
    client.send("41")
    assert happened(server.port, token, 3)[2] == "/ client namespace disconnect"
    client.send('42/admin,["say",1]')
    assert client.text() == '42/admin,["said",1]'


def test_client_comes_back_into_a_namespace(talk):
    client = talk()
    client.join()
    client.send("40/admin,")
    client.text()
    client.send("41/admin,", "40/admin,")
    assert client.text().startswith("40/admin,")
    client.send('42/admin,["say",1]')
    assert client.text() == '42/admin,["said",1]'


def test_second_disconnect_is_dropped(talk):
    """Differs from the official server, which closes: it may have crossed ours on the way."""
    client = talk()
    client.join()
    client.send("41/admin,", "41/admin,", '42["say",1]')
    assert client.text() == '42["said",1]'


def test_server_sends_the_client_out_of_one_namespace(talk, server):
    token = uuid.uuid4().hex
    client = talk(f"&token={token}")
    client.join()
    client.send("40/admin,")
    client.text()
    client.send('42/admin,["leave"]')
    assert client.text().rstrip(",") == "41/admin"
    assert happened(server.port, token, 3)[2] == "/admin server namespace disconnect"
    client.send('42["say",1]')
    assert client.text() == '42["said",1]'


def test_last_word_comes_before_the_disconnect(talk):
    client = talk()
    client.join()
    client.send('42["parting"]')
    packet = client.text()
    assert packet.startswith("451-")
    assert json.loads(packet[4:])[:2] == ["bye", "ü"]
    assert [client.receive(), client.receive()] == [b"\x01", "41"]


def test_disconnect_without_a_comma(talk, server):
    """socketio 1.x and 2.x write it so."""
    token = uuid.uuid4().hex
    client = talk(f"&token={token}")
    client.join()
    client.send("40/admin")
    client.text()
    client.send("41/admin")
    assert happened(server.port, token, 3)[2] == "/admin client namespace disconnect"


def test_text_and_attachment_leave_without_a_pause(server, revision):
    """Without TCP_NODELAY an echo with an attachment takes 40 ms; the best of many tells, whatever the machine does."""
    with Talk(server.port, revision) as client:
        client.join()
        spent = []
        for number in range(30):
            start = time.perf_counter()
            client.send(f'451-{number}["echo",{PLACEHOLDER % 0}]', b"x")
            client.text()
            client.receive()
            spent.append(time.perf_counter() - start)
    assert min(spent) < 0.035
