"""What is said beside a transfer: starting again, asking the common superior, and its answer."""

import uuid

from services.transfers.remarks import handlers as remarks
from shared.bus.service import Asked
from shared.messages import transfers as contract


def key():
    return uuid.uuid4()


def restart(tx, transfer_id, actor):
    return remarks.restart_transfers(
        tx, [Asked(contract.RestartTransfer(command_id=key(), transfer_id=transfer_id), actor)]
    )[0]


def escalate(tx, transfer_id, actor, note="单位在本地"):
    return remarks.escalate_transfers(
        tx, [Asked(contract.Escalate(decision_id=key(), transfer_id=transfer_id, note=note), actor)]
    )[0]


def advise(tx, transfer_id, actor, answer="receive"):
    return remarks.answer_escalations(
        tx,
        [
            Asked(
                contract.AnswerEscalation(
                    decision_id=key(), transfer_id=transfer_id, answer=answer, note="请接收"
                ),
                actor,
            )
        ],
    )[0]
