"""File pairs of many kinds, as platforms and review sites export them, each with what its columns are."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

N = 1_200


@dataclass(frozen=True)
class Pair:
    """Two tables and their truth: their column -> ours, for every column that is one of ours."""

    name: str
    log: pd.DataFrame
    reviews: pd.DataFrame
    log_truth: dict[str, str]
    review_truth: dict[str, str]
    write: dict[str, Any] = field(default_factory=dict)

    def files(self, folder: Path) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        return [
            _write(self.log, folder / self.write.get("log", "log.csv"), self.write),
            _write(self.reviews, folder / self.write.get("reviews", "reviews.csv"), self.write),
        ]


def _write(frame: pd.DataFrame, path: Path, how: dict[str, Any]) -> Path:
    if path.suffix == ".xlsx":
        import openpyxl

        book = openpyxl.Workbook()
        sheet = book.active
        sheet.title = how.get("sheet", "Sheet1")
        if how.get("title"):
            sheet.append([how["title"]])
        sheet.append(list(frame.columns))
        for row in frame.itertuples(index=False):
            sheet.append(
                [
                    None
                    if pd.isna(v)
                    else v.to_pydatetime()
                    if isinstance(v, pd.Timestamp)
                    else v.item()
                    if hasattr(v, "item")
                    else v
                    for v in row
                ]
            )
        book.save(path)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True, force_ascii=False)
    elif path.suffix == ".json":
        path.write_text(json.dumps(json.loads(frame.to_json(orient="records")), indent=1))
    else:
        text = frame.to_csv(sep=how.get("sep", ","), index=False)
        path.write_bytes(text.encode(how.get("encoding", "utf-8")))
    return path


@dataclass(frozen=True)
class World:
    """A small log and its reviews, in plain terms."""

    rng: np.random.Generator
    decided: pd.DatetimeIndex
    policy: np.ndarray
    enforced: np.ndarray
    score: np.ndarray
    market: np.ndarray
    account: np.ndarray
    picked: np.ndarray
    reviewed: pd.DatetimeIndex
    wrong: np.ndarray
    reviewer: np.ndarray
    site: np.ndarray

    def texts(self, words: str) -> list[str]:
        vocabulary = words.split()
        return [" ".join(self.rng.choice(vocabulary, 6)) for _ in range(N)]


def world(seed: int, policies: str, markets: str) -> World:
    rng = np.random.default_rng(seed)
    decided = pd.Timestamp("2026-01-01") + pd.to_timedelta(
        np.sort(rng.integers(0, 7_700_000, N)), unit="s"
    )
    picked = np.sort(rng.choice(N, 350, replace=False))
    reviewed = decided[picked] + pd.to_timedelta(
        rng.integers(3_600, 500_000, len(picked)), unit="s"
    )
    score = np.round(rng.beta(2, 2, N), 4)
    return World(
        rng,
        decided,
        rng.choice(policies.split(","), N),
        score > 0.6,
        score,
        rng.choice(markets.split(), N),
        rng.integers(1000, 1250, N),
        picked,
        reviewed,
        rng.random(len(picked)) < 0.2,
        rng.choice([f"r{i}" for i in range(9)], len(picked)),
        rng.choice(["Porto", "Manila", "Kraków"], len(picked)),
    )


def _ids(form: str) -> list[str]:
    return [form.format(i) for i in range(N)]


def german() -> Pair:
    w = world(1, "Betrug,Gewalt,Fälschung,Hassrede", "DE AT CH")
    log = pd.DataFrame(
        {
            "Vorgangsnummer": _ids("V-{:06d}"),
            "Entscheidungsdatum": w.decided.strftime("%d.%m.%Y %H:%M"),
            "Angebots-ID": _ids("A{:05d}"),
            "Verkäufer-ID": w.account,
            "Richtlinie": w.policy,
            "Maßnahme": np.where(w.enforced, "Gelöscht", "Freigegeben"),
            "Konfidenz": [f"{100 * s:.1f}".replace(".", ",") for s in w.score],
            "Land": w.market,
            "Kategorie": w.rng.choice(["Möbel", "Mode", "Technik"], N),
            "Aufrufe": w.rng.integers(0, 9000, N),
            "Preis": [f"{p:.2f}".replace(".", ",") for p in w.rng.uniform(1, 300, N)],
        }
    )
    reviews = pd.DataFrame(
        {
            "Prüf-Nr": [f"P{i}" for i in range(len(w.picked))],
            "Vorgangsnummer": log["Vorgangsnummer"][w.picked],
            "Prüfdatum": w.reviewed.strftime("%d.%m.%Y"),
            "Ergebnis": np.where(w.wrong, "falsch", "richtig"),
            "Prüfer": w.reviewer,
            "Standort": w.site,
            "Bemerkung": "",
        }
    )
    return Pair(
        "german",
        log,
        reviews,
        {
            "Vorgangsnummer": "decision_id",
            "Entscheidungsdatum": "decided_at",
            "Angebots-ID": "item_id",
            "Verkäufer-ID": "account_id",
            "Richtlinie": "policy_id",
            "Maßnahme": "action",
            "Konfidenz": "score",
            "Land": "market",
            "Kategorie": "category",
            "Aufrufe": "exposure",
        },
        {
            "Prüf-Nr": "review_id",
            "Vorgangsnummer": "decision_id",
            "Prüfdatum": "reviewed_at",
            "Ergebnis": "verdict",
            "Prüfer": "reviewer_id",
            "Standort": "site",
        },
        {"sep": ";", "encoding": "cp1252", "reviews": "pruefung.csv"},
    )


def french() -> Pair:
    w = world(2, "contrefaçon,violence,fraude,nudité", "FR BE CH")
    log = pd.DataFrame(
        {
            "id_decision": _ids("{:08d}"),
            "date_decision": w.decided.strftime("%d/%m/%Y %H:%M:%S"),
            "id_annonce": _ids("ann{}"),
            "vendeur": w.account,
            "motif": w.policy,
            "mesure": np.where(w.enforced, "supprimé", "approuvé"),
            "score_ia": w.score,
            "seuil": 0.6,
            "pays": w.market,
            "libellé": w.texts("chaise lampe ancienne belle grande petite bois neuve"),
            "date_de_publication": (w.decided - pd.Timedelta(days=3)).strftime("%d/%m/%Y"),
        }
    )
    reviews = pd.DataFrame(
        {
            "id_decision": log["id_decision"][w.picked],
            "date_controle": w.reviewed.strftime("%d/%m/%Y %H:%M"),
            "avis": np.where(w.wrong, "Erroné", "Conforme"),
            "contrôleur": w.reviewer,
            "équipe": w.site,
            "origine": w.rng.choice(["recours", "contrôle qualité"], len(w.picked)),
            "motif_correct": np.where(
                w.wrong & (w.rng.random(len(w.picked)) < 0.5), "fraude", None
            ),
        }
    )
    return Pair(
        "french",
        log,
        reviews,
        {
            "id_decision": "decision_id",
            "date_decision": "decided_at",
            "id_annonce": "item_id",
            "vendeur": "account_id",
            "motif": "policy_id",
            "mesure": "action",
            "score_ia": "score",
            "seuil": "threshold",
            "pays": "market",
            "libellé": "text",
        },
        {
            "id_decision": "decision_id",
            "date_controle": "reviewed_at",
            "avis": "verdict",
            "contrôleur": "reviewer_id",
            "équipe": "site",
            "origine": "source",
            "motif_correct": "correct_policy_id",
        },
        {"sep": ";"},
    )


def spanish() -> Pair:
    w = world(3, "estafa,armas,desnudez,drogas", "ES MX AR")
    log = pd.DataFrame(
        {
            "ID de decisión": _ids("D{:05d}"),
            "Fecha de decisión": w.decided,
            "ID del anuncio": _ids("AN{:05d}"),
            "Usuario": [f"u{a}" for a in w.account],
            "Política": w.policy,
            "Acción tomada": np.where(w.enforced, "Eliminado", "Aprobado"),
            "Confianza": [f"{100 * s:.0f} %" for s in w.score],
            "País": w.market,
            "Idioma": w.rng.choice(["es", "ca", "en"], N),
            "Vistas": w.rng.integers(0, 5000, N),
            "Estado de pago": w.rng.choice(["pagado", "pendiente"], N),
        }
    )
    reviews = pd.DataFrame(
        {
            "ID de decisión": log["ID de decisión"][w.picked].tolist(),
            "Fecha de revisión": w.reviewed,
            "Resultado": np.where(w.wrong, "Incorrecto", "Correcto"),
            "Revisor": w.reviewer,
            "Sede": w.site,
            "Minutos": w.rng.integers(1, 9, len(w.picked)),
            "Comentarios": "ok bien revisado",
        }
    )
    return Pair(
        "spanish",
        log,
        reviews,
        {
            "ID de decisión": "decision_id",
            "Fecha de decisión": "decided_at",
            "ID del anuncio": "item_id",
            "Usuario": "account_id",
            "Política": "policy_id",
            "Acción tomada": "action",
            "Confianza": "score",
            "País": "market",
            "Idioma": "language",
            "Vistas": "exposure",
        },
        {
            "ID de decisión": "decision_id",
            "Fecha de revisión": "reviewed_at",
            "Resultado": "verdict",
            "Revisor": "reviewer_id",
            "Sede": "site",
            "Minutos": "minutes",
        },
        {"reviews": "revisiones.xlsx", "sheet": "Marzo", "title": "Control de calidad"},
    )


def polish() -> Pair:
    w = world(4, "oszustwo,przemoc,podróbka,broń", "PL CZ SK")
    log = pd.DataFrame(
        {
            "nr_decyzji": np.arange(500_000, 500_000 + N),
            "data_decyzji": w.decided.strftime("%Y-%m-%d %H:%M:%S"),
            "id_oferty": _ids("of{}"),
            "sprzedawca": w.account,
            "powód": w.policy,
            "działanie": np.where(w.enforced, "usunięto", "zatwierdzono"),
            "wynik_modelu": w.score,
            "próg": 0.6,
            "kraj": w.market,
            "wersja_modelu": w.rng.choice(["2.1", "2.2"], N),
            "treść": w.texts("rower stary nowy dom szafa duża mała"),
        }
    )
    reviews = pd.DataFrame(
        {
            "nr_decyzji": log["nr_decyzji"][w.picked],
            "data_kontroli": w.reviewed.strftime("%Y-%m-%d"),
            "ocena": np.where(w.wrong, "błędna", "poprawna"),
            "kontroler": w.reviewer,
            "zespół": w.site,
            "czas_oceny_min": np.round(w.rng.uniform(1, 6, len(w.picked)), 1),
        }
    )
    return Pair(
        "polish",
        log,
        reviews,
        {
            "nr_decyzji": "decision_id",
            "data_decyzji": "decided_at",
            "id_oferty": "item_id",
            "sprzedawca": "account_id",
            "powód": "policy_id",
            "działanie": "action",
            "wynik_modelu": "score",
            "próg": "threshold",
            "kraj": "market",
            "wersja_modelu": "moderator_version",
            "treść": "text",
        },
        {
            "nr_decyzji": "decision_id",
            "data_kontroli": "reviewed_at",
            "ocena": "verdict",
            "kontroler": "reviewer_id",
            "zespół": "site",
            "czas_oceny_min": "minutes",
        },
        {"sep": "\t", "log": "log.tsv"},
    )


def bpo() -> Pair:
    w = world(5, "HATE-01,SPAM-02,NUD-03,VIOL-04", "US GB CA")
    log = pd.DataFrame(
        {
            "event_id": _ids("evt_{:06x}"),
            "event_ts": w.decided.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "content_id": _ids("c{}"),
            "user_id": w.account,
            "policy_code": w.policy,
            "decision": np.where(w.enforced, "REJECT", "PASS"),
            "ml_score": w.score,
            "country": w.market,
            "lang": w.rng.choice(["en", "fr", "es"], N),
            "content_type": w.rng.choice(["video", "comment"], N),
            "likes": w.rng.integers(0, 99, N),
            "model": w.rng.choice(["hate-clf", "spam-clf"], N),
        }
    )
    reviews = pd.DataFrame(
        {
            "Case ID": log["event_id"][w.picked].tolist(),
            "Review Date": w.reviewed.normalize(),
            "Agent": w.reviewer,
            "Vendor Site": w.site,
            "Decision": log["decision"][w.picked].tolist(),
            "QA Result": np.where(w.wrong, "Incorrect", "Correct"),
            "AHT (sec)": w.rng.integers(20, 300, len(w.picked)),
            "Correct Policy": np.where(
                w.wrong & (w.rng.random(len(w.picked)) < 0.4), "SPAM-02", None
            ),
            "Comments": "checked twice by the team",
        }
    )
    return Pair(
        "bpo",
        log,
        reviews,
        {
            "event_id": "decision_id",
            "event_ts": "decided_at",
            "content_id": "item_id",
            "user_id": "account_id",
            "policy_code": "policy_id",
            "decision": "action",
            "ml_score": "score",
            "country": "market",
            "lang": "language",
            "content_type": "item_type",
            "model": "moderator",
        },
        {
            "Case ID": "decision_id",
            "Review Date": "reviewed_at",
            "Agent": "reviewer_id",
            "Vendor Site": "site",
            "QA Result": "verdict",
            "AHT (sec)": "minutes",
            "Correct Policy": "correct_policy_id",
        },
        {"log": "log.jsonl", "reviews": "BPO QA March.xlsx", "title": "QA results, week 12"},
    )


def camel() -> Pair:
    w = world(6, "fakeReviews,prohibitedItems,misleading", "US JP BR")
    log = pd.DataFrame(
        {
            "decisionId": _ids("{:032x}"),
            "createdAt": (w.decided - pd.Timedelta(hours=2)).astype("int64") // 10**6 // 1000,
            "decidedAt": w.decided.astype("datetime64[ms]").astype("int64"),
            "listingId": _ids("L{}"),
            "sellerId": w.account,
            "violationType": w.policy,
            "actionType": np.where(w.enforced, "TAKE_DOWN", "NO_ACTION"),
            "modelScore": w.score,
            "modelVersion": "v7",
            "decisionThreshold": 0.6,
            "countryCode": w.market,
            "viewCount": w.rng.integers(0, 999, N),
            "isPremium": w.rng.random(N) < 0.3,
        }
    )
    reviews = pd.DataFrame(
        {
            "reviewId": [f"rv{i}" for i in range(len(w.picked))],
            "decisionId": log["decisionId"][w.picked].tolist(),
            "reviewedAt": w.reviewed.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "reviewType": w.rng.choice(["appeal", "qa"], len(w.picked)),
            "outcome": np.where(w.wrong, "OVERTURNED", "UPHELD"),
            "reviewerId": w.reviewer,
            "teamName": w.site,
            "durationMs": w.rng.integers(5_000, 400_000, len(w.picked)),
            "lastModifiedDate": w.reviewed.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )
    return Pair(
        "camel",
        log,
        reviews,
        {
            "decisionId": "decision_id",
            "decidedAt": "decided_at",
            "listingId": "item_id",
            "sellerId": "account_id",
            "violationType": "policy_id",
            "actionType": "action",
            "modelScore": "score",
            "modelVersion": "moderator_version",
            "decisionThreshold": "threshold",
            "countryCode": "market",
            "viewCount": "exposure",
        },
        {
            "reviewId": "review_id",
            "decisionId": "decision_id",
            "reviewedAt": "reviewed_at",
            "reviewType": "source",
            "outcome": "verdict",
            "reviewerId": "reviewer_id",
            "teamName": "site",
            "durationMs": "minutes",
            "lastModifiedDate": "updated_at",
        },
        {"log": "log.json", "reviews": "reviews.jsonl"},
    )


def abbreviated() -> Pair:
    w = world(7, "P1.1,P1.2,P3.4,P7.9", "DE FR IT")
    log = pd.DataFrame(
        {
            "id": np.arange(7_000_001, 7_000_001 + N),
            "ts": w.decided.strftime("%Y-%m-%d %H:%M:%S"),
            "acct": w.account,
            "pol": w.policy,
            "act": np.where(w.enforced, "BLK", "ALW"),
            "scr": np.round(100 * w.score, 1),
            "thr": 60,
            "ctry": w.market,
            "lng": w.rng.choice(["de", "fr", "it"], N),
            "impr": w.rng.integers(0, 5000, N),
        }
    )
    reviews = pd.DataFrame(
        {
            "case": log["id"][w.picked],
            "dt": w.reviewed.strftime("%Y-%m-%d %H:%M"),
            "res": np.where(w.wrong, "FP", "TP"),
            "agt": w.reviewer,
            "loc": w.site,
        }
    )
    return Pair(
        "abbreviated",
        log,
        reviews,
        {
            "id": "decision_id",
            "ts": "decided_at",
            "acct": "account_id",
            "pol": "policy_id",
            "act": "action",
            "scr": "score",
            "thr": "threshold",
            "ctry": "market",
            "lng": "language",
            "impr": "exposure",
        },
        {
            "case": "decision_id",
            "dt": "reviewed_at",
            "res": "verdict",
            "agt": "reviewer_id",
            "loc": "site",
        },
        {"sep": "|"},
    )


def salesforce() -> Pair:
    w = world(8, "Counterfeit,Hate Speech,Weapons,Adult", "US AU NZ")
    log = pd.DataFrame(
        {
            "CaseNumber": _ids("00{:06d}"),
            "CreatedDate": w.decided.strftime("%m/%d/%Y %I:%M %p"),
            "Listing_ID__c": _ids("a0X{:06d}"),
            "Seller__c": w.account,
            "Rejection_Reason__c": w.policy,
            "Auto_Decision__c": np.where(w.enforced, "Reject", "Approve"),
            "Model_Confidence__c": np.round(100 * w.score, 2),
            "Country__c": w.market,
            "Status": "Closed",
            "OwnerId": w.rng.choice(["005A", "005B"], N),
            "Category__c": w.rng.choice(["Toys", "Shoes"], N),
        }
    )
    reviews = pd.DataFrame(
        {
            "QA_Review_ID__c": [f"QA-{i:05d}" for i in range(len(w.picked))],
            "CaseNumber": log["CaseNumber"][w.picked].tolist(),
            "QA_Date__c": w.reviewed.strftime("%m/%d/%Y"),
            "QA_Analyst__c": w.reviewer,
            "Decision_Correct__c": np.where(w.wrong, "No", "Yes"),
            "BPO_Site__c": w.site,
        }
    )
    return Pair(
        "salesforce",
        log,
        reviews,
        {
            "CaseNumber": "decision_id",
            "CreatedDate": "decided_at",
            "Listing_ID__c": "item_id",
            "Seller__c": "account_id",
            "Rejection_Reason__c": "policy_id",
            "Auto_Decision__c": "action",
            "Model_Confidence__c": "score",
            "Country__c": "market",
            "Category__c": "category",
        },
        {
            "QA_Review_ID__c": "review_id",
            "CaseNumber": "decision_id",
            "QA_Date__c": "reviewed_at",
            "QA_Analyst__c": "reviewer_id",
            "Decision_Correct__c": "verdict",
            "BPO_Site__c": "site",
        },
    )


def zendesk() -> Pair:
    w = world(9, "harassment,spam,self_harm", "GB IE")
    log = pd.DataFrame(
        {
            "moderation_id": _ids("m-{}"),
            "processed_at": w.decided.strftime("%Y-%m-%d %H:%M:%S UTC"),
            "post_id": _ids("p{}"),
            "author": [f"@user{a}" for a in w.account],
            "label": w.policy,
            "outcome": np.where(w.enforced, "hidden", "published"),
            "confidence": w.score,
            "locale": w.rng.choice(["en-GB", "en-IE"], N),
            "body": w.texts("you are so very nice bad people go away"),
            "appeal_outcome": np.where(w.rng.random(N) < 0.1, "granted", None),
            "rule_version": w.rng.choice(["r41", "r42"], N),
        }
    )
    reviews = pd.DataFrame(
        {
            "Ticket ID": np.arange(90_000, 90_000 + len(w.picked)),
            "Moderation ref": log["moderation_id"][w.picked].tolist(),
            "Created at": (w.reviewed - pd.Timedelta(hours=1)).strftime("%Y-%m-%d %H:%M"),
            "Solved at": w.reviewed.strftime("%Y-%m-%d %H:%M"),
            "Assignee": w.reviewer,
            "Group": w.site,
            "Resolution": np.where(w.wrong, "overturned", "upheld"),
            "Via": "web",
            "Channel": w.rng.choice(["appeal", "user report"], len(w.picked)),
        }
    )
    return Pair(
        "zendesk",
        log,
        reviews,
        {
            "moderation_id": "decision_id",
            "processed_at": "decided_at",
            "post_id": "item_id",
            "author": "account_id",
            "label": "policy_id",
            "outcome": "action",
            "confidence": "score",
            "locale": "language",
            "body": "text",
            "rule_version": "moderator_version",
        },
        {
            "Ticket ID": "review_id",
            "Moderation ref": "decision_id",
            "Solved at": "reviewed_at",
            "Assignee": "reviewer_id",
            "Group": "site",
            "Resolution": "verdict",
            "Channel": "source",
        },
    )


def audit() -> Pair:
    w = world(10, "spam,nudity,violence", "NL BE")
    log = pd.DataFrame(
        {
            "uuid": [f"{i:08x}-0000-4000-8000-{i:012x}" for i in range(N)],
            "timestamp": w.decided.tz_localize("UTC"),
            "item": _ids("i{}"),
            "owner": w.account,
            "policy": w.policy,
            "removed": w.enforced,
            "probability": w.score,
            "market": w.market,
            "embedding_norm": w.rng.random(N) * 5,
        }
    )
    reviews = pd.DataFrame(
        {
            "audit_id": [f"a{i}" for i in range(len(w.picked))],
            "item_uuid": log["uuid"][w.picked].tolist(),
            "audited_at": w.reviewed.tz_localize("UTC"),
            "error": w.wrong,
            "auditor": w.reviewer,
            "sampling_rate": 0.1,
            "sample": "random audit",
        }
    )
    return Pair(
        "audit",
        log,
        reviews,
        {
            "uuid": "decision_id",
            "timestamp": "decided_at",
            "item": "item_id",
            "owner": "account_id",
            "policy": "policy_id",
            "removed": "action",
            "probability": "score",
            "market": "market",
        },
        {
            "audit_id": "review_id",
            "item_uuid": "decision_id",
            "audited_at": "reviewed_at",
            "error": "verdict",
            "auditor": "reviewer_id",
            "sampling_rate": "inclusion_probability",
            "sample": "source",
        },
        {"log": "log.parquet", "reviews": "audit.parquet"},
    )


def golden() -> Pair:
    w = world(11, "Regel 1,Regel 2,Regel 9", "DE AT")
    log = pd.DataFrame(
        {
            "EntscheidungsID": np.arange(N) + 10**6,
            "ZeitpunktDerEntscheidung": w.decided.strftime("%d.%m.%y %H:%M:%S"),
            "InhaltsID": _ids("x{}"),
            "NutzerID": w.account,
            "Regelwerk": w.policy,
            "Aktion": np.where(w.enforced, "Sperren", "Zulassen"),
            "Wahrscheinlichkeit": [f"{s:.4f}".replace(".", ",") for s in w.score],
            "Schwellenwert": "0,6",
            "Sprache": w.rng.choice(["de", "en"], N),
            "Inhaltstyp": w.rng.choice(["Bild", "Text"], N),
            "Modellversion": "2026.1",
        }
    )
    reviews = pd.DataFrame(
        {
            "ReviewNr": np.arange(len(w.picked)) + 1,
            "EntscheidungsID": log["EntscheidungsID"][w.picked],
            "GeprüftAm": w.reviewed.strftime("%d.%m.%y %H:%M"),
            "Urteil": np.where(w.wrong, "aufgehoben", "bestätigt"),
            "Bearbeiter": w.reviewer,
            "Dienstleister": w.site,
            "Herkunft": w.rng.choice(["Einspruch", "Stichprobe"], len(w.picked)),
            "Dauer (Min.)": w.rng.integers(1, 9, len(w.picked)),
        }
    )
    return Pair(
        "compounds",
        log,
        reviews,
        {
            "EntscheidungsID": "decision_id",
            "ZeitpunktDerEntscheidung": "decided_at",
            "InhaltsID": "item_id",
            "NutzerID": "account_id",
            "Regelwerk": "policy_id",
            "Aktion": "action",
            "Wahrscheinlichkeit": "score",
            "Schwellenwert": "threshold",
            "Sprache": "language",
            "Inhaltstyp": "item_type",
            "Modellversion": "moderator_version",
        },
        {
            "ReviewNr": "review_id",
            "EntscheidungsID": "decision_id",
            "GeprüftAm": "reviewed_at",
            "Urteil": "verdict",
            "Bearbeiter": "reviewer_id",
            "Dienstleister": "site",
            "Herkunft": "source",
            "Dauer (Min.)": "minutes",
        },
        {"sep": ";", "encoding": "utf-16"},
    )


def decoys() -> Pair:
    w = world(12, "fraud,ip_infringement,adult_content", "US DE JP")
    log = pd.DataFrame(
        {
            "record_id": _ids("R{:07d}"),
            "uploaded_at": (w.decided - pd.Timedelta(days=2)).strftime("%Y-%m-%d %H:%M:%S"),
            "moderated_at": w.decided.strftime("%Y-%m-%d %H:%M:%S"),
            "updated_at": (w.decided + pd.Timedelta(days=9)).strftime("%Y-%m-%d %H:%M:%S"),
            "product_id": _ids("prod{}"),
            "merchant_id": w.account,
            "policy_area": w.policy,
            "moderation_action": np.where(w.enforced, "delisted", "live"),
            "risk_score": w.score,
            "seller_rating": np.round(w.rng.uniform(1, 5, N), 1),
            "image_quality": w.rng.random(N),
            "marketplace": w.market,
            "title": w.texts("red blue shoe bag watch cheap original new"),
            "price": np.round(w.rng.uniform(1, 99, N), 2),
            "review_count": w.rng.integers(0, 500, N),
            "refund_status": np.where(w.rng.random(N) < 0.05, "refunded", None),
        }
    )
    reviews = pd.DataFrame(
        {
            "row": np.arange(len(w.picked)) + 1,
            "record": log["record_id"][w.picked].tolist(),
            "moderated_at": log["moderated_at"][w.picked].tolist(),
            "qa_timestamp": w.reviewed.strftime("%Y-%m-%d %H:%M:%S"),
            "policy_area": log["policy_area"][w.picked].tolist(),
            "moderation_action": log["moderation_action"][w.picked].tolist(),
            "agree": np.where(w.wrong, "N", "Y"),
            "checked_by": w.reviewer,
            "hub": w.site,
            "corrected_policy": np.where(
                w.wrong & (w.rng.random(len(w.picked)) < 0.3), "fraud", None
            ),
        }
    )
    return Pair(
        "decoys",
        log,
        reviews,
        {
            "record_id": "decision_id",
            "moderated_at": "decided_at",
            "product_id": "item_id",
            "merchant_id": "account_id",
            "policy_area": "policy_id",
            "moderation_action": "action",
            "risk_score": "score",
            "marketplace": "market",
            "title": "text",
        },
        {
            "record": "decision_id",
            "qa_timestamp": "reviewed_at",
            "agree": "verdict",
            "checked_by": "reviewer_id",
            "hub": "site",
            "corrected_policy": "correct_policy_id",
        },
        {"reviews": "qa.xlsx"},
    )


def flags() -> Pair:
    w = world(21, "weapons,hate_speech,counterfeit", "US CA GB")
    log = pd.DataFrame(
        {
            "flag_id": _ids("FL{:06d}"),
            "flagged_on": w.decided.strftime("%Y/%m/%d %H:%M"),
            "listing_ref": _ids("LS{:06d}"),
            "seller_name": [f"shop {a}" for a in w.account],
            "violation": w.policy,
            "disposition": np.where(w.enforced, "Removed", "Kept"),
            "ai_conf": w.score,
            "site": w.market,
            "views_30d": w.rng.integers(0, 900, N),
            "brand": w.rng.choice(["A", "B"], N),
            "days_live": w.rng.integers(0, 90, N),
        }
    )
    r = pd.DataFrame(
        {
            "QA#": np.arange(len(w.picked)),
            "Flag": log.flag_id[w.picked].tolist(),
            "Date Checked": w.reviewed.strftime("%Y/%m/%d"),
            "Analyst": w.reviewer,
            "Call": np.where(w.wrong, "Disagree", "Agree"),
            "Office": w.site,
        }
    )
    return Pair(
        "flags",
        log,
        r,
        {
            "flag_id": "decision_id",
            "flagged_on": "decided_at",
            "listing_ref": "item_id",
            "seller_name": "account_id",
            "violation": "policy_id",
            "disposition": "action",
            "ai_conf": "score",
            "site": "market",
            "views_30d": "exposure",
        },
        {
            "QA#": "review_id",
            "Flag": "decision_id",
            "Date Checked": "reviewed_at",
            "Analyst": "reviewer_id",
            "Call": "verdict",
            "Office": "site",
        },
    )


def italian() -> Pair:
    w = world(22, "frode,violenza,nudità", "IT CH")
    log = pd.DataFrame(
        {
            "id_decisione": _ids("{:07d}"),
            "data_decisione": w.decided.strftime("%d/%m/%Y %H:%M"),
            "id_annuncio": _ids("an{}"),
            "venditore": w.account,
            "motivo": w.policy,
            "azione": np.where(w.enforced, "rimosso", "approvato"),
            "punteggio": w.score,
            "soglia": 0.6,
            "paese": w.market,
            "lingua": w.rng.choice(["it", "de"], N),
            "titolo": w.texts("scarpa rossa borsa vecchia nuova grande piccola"),
        }
    )
    r = pd.DataFrame(
        {
            "id_decisione": log.id_decisione[w.picked],
            "data_revisione": w.reviewed.strftime("%d/%m/%Y"),
            "esito": np.where(w.wrong, "errato", "corretto"),
            "revisore": w.reviewer,
            "sede": w.site,
        }
    )
    return Pair(
        "italian",
        log,
        r,
        {
            "id_decisione": "decision_id",
            "data_decisione": "decided_at",
            "id_annuncio": "item_id",
            "venditore": "account_id",
            "motivo": "policy_id",
            "azione": "action",
            "punteggio": "score",
            "soglia": "threshold",
            "paese": "market",
            "lingua": "language",
            "titolo": "text",
        },
        {
            "id_decisione": "decision_id",
            "data_revisione": "reviewed_at",
            "esito": "verdict",
            "revisore": "reviewer_id",
            "sede": "site",
        },
        {"sep": ";"},
    )


def pipeline() -> Pair:
    w = world(23, "spam,csam,terror,self-harm", "US")
    log = pd.DataFrame(
        {
            "request_uuid": _ids("{:032x}"),
            "created_ts": w.decided.astype("datetime64[s]").astype("int64"),
            "asset_id": _ids("as{}"),
            "uploader_id": w.account,
            "predicted_category": w.policy,
            "enforcement_outcome": np.where(w.enforced, "BLOCKED", "ALLOWED"),
            "max_score": w.score,
            "model_id": w.rng.choice(["m1", "m2"], N),
            "geo": w.market,
            "caption": w.texts("cat dog sun beach party night friends"),
            "impressions": w.rng.integers(0, 9000, N),
        }
    )
    r = pd.DataFrame(
        {
            "label_id": [f"l{i}" for i in range(len(w.picked))],
            "request_uuid": log.request_uuid[w.picked].tolist(),
            "annotated_at": w.reviewed.strftime("%Y-%m-%d %H:%M:%S"),
            "annotator": w.reviewer,
            "is_correct": ~w.wrong,
            "pool": w.site,
            "time_spent_sec": w.rng.integers(5, 200, len(w.picked)),
        }
    )
    return Pair(
        "pipeline",
        log,
        r,
        {
            "request_uuid": "decision_id",
            "created_ts": "decided_at",
            "asset_id": "item_id",
            "uploader_id": "account_id",
            "predicted_category": "policy_id",
            "enforcement_outcome": "action",
            "max_score": "score",
            "model_id": "moderator",
            "geo": "market",
            "caption": "text",
            "impressions": "exposure",
        },
        {
            "label_id": "review_id",
            "request_uuid": "decision_id",
            "annotated_at": "reviewed_at",
            "annotator": "reviewer_id",
            "is_correct": "verdict",
            "pool": "site",
            "time_spent_sec": "minutes",
        },
        {"log": "log.jsonl"},
    )


def classifieds() -> Pair:
    w = world(24, "Betrügerisches Angebot,Markenrechtsverletzung,Jugendschutz", "DE")
    log = pd.DataFrame(
        {
            "Anzeigen-Nr.": _ids("{:09d}"),
            "Geprüft am": w.decided.strftime("%d.%m.%Y"),
            "Uhrzeit": w.decided.strftime("%H:%M"),
            "Kunde": w.account,
            "Ablehnungsgrund": w.policy,
            "Status": np.where(w.enforced, "abgelehnt", "freigeschaltet"),
            "Score (%)": np.round(100 * w.score, 1),
            "Rubrik": w.rng.choice(["Auto", "Haus"], N),
            "Anzeigentext": w.texts("verkaufe gut erhaltenes Sofa Auto Haus günstig"),
        }
    )
    r = pd.DataFrame(
        {
            "Anzeigen-Nr.": log["Anzeigen-Nr."][w.picked],
            "Kontrolldatum": w.reviewed.strftime("%d.%m.%Y"),
            "Kontrolleur": w.reviewer,
            "Entscheidung korrekt?": np.where(w.wrong, "nein", "ja"),
            "Team": w.site,
        }
    )
    return Pair(
        "classifieds",
        log,
        r,
        {
            "Anzeigen-Nr.": "decision_id",
            "Geprüft am": "decided_at",
            "Kunde": "account_id",
            "Ablehnungsgrund": "policy_id",
            "Status": "action",
            "Score (%)": "score",
            "Rubrik": "category",
            "Anzeigentext": "text",
        },
        {
            "Anzeigen-Nr.": "decision_id",
            "Kontrolldatum": "reviewed_at",
            "Kontrolleur": "reviewer_id",
            "Entscheidung korrekt?": "verdict",
            "Team": "site",
        },
        {"reviews": "k.xlsx", "sep": ";"},
    )


def audit_workbooks() -> Pair:
    w = world(25, "ofertas falsas,violencia,odio", "BR PT")
    log = pd.DataFrame(
        {
            "Decision Key": _ids("K{:05d}"),
            "Decision Timestamp (UTC)": w.decided.strftime("%Y-%m-%d %H:%M:%S"),
            "Item Key": _ids("I{}"),
            "Seller Key": w.account,
            "Policy Violated": w.policy,
            "Auto Decision": np.where(w.enforced, "Deny", "Accept"),
            "Confidence Level": [f"{100 * s:.1f}%" for s in w.score],
            "Marketplace": w.market,
            "Locale": w.rng.choice(["pt-BR", "pt-PT"], N),
            "GMV (USD)": np.round(w.rng.uniform(0, 900, N), 2),
            "Vertical": w.rng.choice(["Home", "Auto"], N),
        }
    )
    r = pd.DataFrame(
        {
            "Decision Key": log["Decision Key"][w.picked].tolist(),
            "Decision Timestamp (UTC)": log["Decision Timestamp (UTC)"][w.picked].tolist(),
            "Audit Timestamp (UTC)": w.reviewed.strftime("%Y-%m-%d %H:%M:%S"),
            "Auditor Login": w.reviewer,
            "Audit Outcome": np.where(w.wrong, "Overturn", "Uphold"),
            "Auditor Site": w.site,
            "Expected Policy": np.where(
                w.wrong & (w.rng.random(len(w.picked)) < 0.4), "odio", None
            ),
            "Sampling Prob": 0.05,
            "Handle Time (s)": w.rng.integers(10, 200, len(w.picked)),
        }
    )
    return Pair(
        "audit_workbooks",
        log,
        r,
        {
            "Decision Key": "decision_id",
            "Decision Timestamp (UTC)": "decided_at",
            "Item Key": "item_id",
            "Seller Key": "account_id",
            "Policy Violated": "policy_id",
            "Auto Decision": "action",
            "Confidence Level": "score",
            "Marketplace": "market",
            "Locale": "language",
            "GMV (USD)": "exposure",
            "Vertical": "category",
        },
        {
            "Decision Key": "decision_id",
            "Audit Timestamp (UTC)": "reviewed_at",
            "Auditor Login": "reviewer_id",
            "Audit Outcome": "verdict",
            "Auditor Site": "site",
            "Expected Policy": "correct_policy_id",
            "Sampling Prob": "inclusion_probability",
            "Handle Time (s)": "minutes",
        },
        {"log": "a.xlsx", "reviews": "b.xlsx"},
    )


def german_workbook() -> Pair:
    w = world(31, "Gefälschte Ware,Verbotene Artikel,Hassrede", "DE AT")
    log = pd.DataFrame(
        {
            "Entscheidungs-ID": _ids("E{:06d}"),
            "Entscheidungszeitpunkt": w.decided.strftime("%d.%m.%Y %H:%M:%S"),
            "Inserat-ID": _ids("IN{:06d}"),
            "Händlernummer": w.account,
            "Verstoßart": w.policy,
            "Ergebnis KI": np.where(w.enforced, "abgelehnt", "zugelassen"),
            "KI-Score": [f"{s:.3f}".replace(".", ",") for s in w.score],
            "Grenzwert": "0,6",
            "Zielland": w.market,
            "Warengruppe": w.rng.choice(["Schuhe", "Uhren"], N),
            "Verkaufspreis": [f"{p:.2f}".replace(".", ",") for p in w.rng.uniform(1, 99, N)],
            "Seitenaufrufe": w.rng.integers(0, 999, N),
        }
    )
    r = pd.DataFrame(
        {
            "Entscheidungs-ID": log["Entscheidungs-ID"][w.picked].tolist(),
            "Geprüft von": w.reviewer,
            "Geprüft am": w.reviewed,
            "Prüfergebnis": np.where(w.wrong, "nicht korrekt", "korrekt"),
            "Korrekte Verstoßart": np.where(
                w.wrong & (w.rng.random(len(w.picked)) < 0.4), "Hassrede", None
            ),
            "Prüfteam": w.site,
            "Anmerkung": "keine weiteren Anmerkungen",
        }
    )
    return Pair(
        "german_workbook",
        log,
        r,
        {
            "Entscheidungs-ID": "decision_id",
            "Entscheidungszeitpunkt": "decided_at",
            "Inserat-ID": "item_id",
            "Händlernummer": "account_id",
            "Verstoßart": "policy_id",
            "Ergebnis KI": "action",
            "KI-Score": "score",
            "Grenzwert": "threshold",
            "Zielland": "market",
            "Warengruppe": "category",
            "Seitenaufrufe": "exposure",
        },
        {
            "Entscheidungs-ID": "decision_id",
            "Geprüft von": "reviewer_id",
            "Geprüft am": "reviewed_at",
            "Prüfergebnis": "verdict",
            "Korrekte Verstoßart": "correct_policy_id",
            "Prüfteam": "site",
        },
        {"sep": ";", "reviews": "q.xlsx"},
    )


def french_marketplace() -> Pair:
    w = world(32, "Haine,Arnaque,Contrefaçon", "FR")
    log = pd.DataFrame(
        {
            "Référence": _ids("REF{:05d}"),
            "Date et heure": w.decided.strftime("%d/%m/%Y %H:%M"),
            "Identifiant annonce": _ids("{}"),
            "Identifiant vendeur": w.account,
            "Règle appliquée": w.policy,
            "Décision automatique": np.where(w.enforced, "Refusée", "Acceptée"),
            "Indice de confiance": [f"{100 * s:.1f} %".replace(".", ",") for s in w.score],
            "Pays de vente": w.market,
            "Rubrique": w.rng.choice(["Mode", "Maison"], N),
            "Nombre de vues": w.rng.integers(0, 500, N),
            "Titre de l'annonce": w.texts("robe rouge neuve table bois petite"),
        }
    )
    r = pd.DataFrame(
        {
            "Réf. décision": log["Référence"][w.picked].tolist(),
            "Contrôlé le": w.reviewed.strftime("%d/%m/%Y"),
            "Contrôlé par": w.reviewer,
            "Résultat du contrôle": np.where(w.wrong, "Non conforme", "Conforme"),
            "Site": w.site,
            "Type de contrôle": w.rng.choice(["recours", "contrôle"], len(w.picked)),
            "Durée (min)": w.rng.integers(1, 9, len(w.picked)),
        }
    )
    return Pair(
        "french_marketplace",
        log,
        r,
        {
            "Référence": "decision_id",
            "Date et heure": "decided_at",
            "Identifiant annonce": "item_id",
            "Identifiant vendeur": "account_id",
            "Règle appliquée": "policy_id",
            "Décision automatique": "action",
            "Indice de confiance": "score",
            "Pays de vente": "market",
            "Rubrique": "category",
            "Nombre de vues": "exposure",
            "Titre de l'annonce": "text",
        },
        {
            "Réf. décision": "decision_id",
            "Contrôlé le": "reviewed_at",
            "Contrôlé par": "reviewer_id",
            "Résultat du contrôle": "verdict",
            "Site": "site",
            "Type de contrôle": "source",
            "Durée (min)": "minutes",
        },
        {"sep": ";", "encoding": "cp1252"},
    )


def spanish_platform() -> Pair:
    w = world(33, "contenido sexual,acoso,spam", "MX CO ES")
    log = pd.DataFrame(
        {
            "folio": _ids("{:07d}"),
            "fecha_moderacion": w.decided.strftime("%Y-%m-%d %H:%M:%S"),
            "id_publicacion": _ids("p{}"),
            "id_usuario": w.account,
            "categoria_infraccion": w.policy,
            "decision_sistema": np.where(w.enforced, "ELIMINAR", "MANTENER"),
            "probabilidad": w.score,
            "umbral": 0.6,
            "pais": w.market,
            "idioma": w.rng.choice(["es", "en"], N),
            "contenido": w.texts("hola amigo vendo coche barato mira esto"),
        }
    )
    r = pd.DataFrame(
        {
            "folio": log["folio"][w.picked],
            "fecha_auditoria": w.reviewed.strftime("%Y-%m-%d"),
            "auditor": w.reviewer,
            "dictamen": np.where(w.wrong, "incorrecta", "correcta"),
            "centro": w.site,
            "politica_correcta": np.where(
                w.wrong & (w.rng.random(len(w.picked)) < 0.4), "spam", None
            ),
        }
    )
    return Pair(
        "spanish_platform",
        log,
        r,
        {
            "folio": "decision_id",
            "fecha_moderacion": "decided_at",
            "id_publicacion": "item_id",
            "id_usuario": "account_id",
            "categoria_infraccion": "policy_id",
            "decision_sistema": "action",
            "probabilidad": "score",
            "umbral": "threshold",
            "pais": "market",
            "idioma": "language",
            "contenido": "text",
        },
        {
            "folio": "decision_id",
            "fecha_auditoria": "reviewed_at",
            "auditor": "reviewer_id",
            "dictamen": "verdict",
            "centro": "site",
            "politica_correcta": "correct_policy_id",
        },
    )


def polish_workbook() -> Pair:
    w = world(34, "mowa nienawiści,spam,towar zabroniony", "PL")
    log = pd.DataFrame(
        {
            "ID zgłoszenia": _ids("Z{:06d}"),
            "Data i godzina decyzji": w.decided.strftime("%d.%m.%Y %H:%M"),
            "ID ogłoszenia": _ids("o{}"),
            "Użytkownik": w.account,
            "Naruszona zasada": w.policy,
            "Decyzja systemu": np.where(w.enforced, "Odrzucone", "Zaakceptowane"),
            "Pewność (%)": np.round(100 * w.score, 1),
            "Kategoria": w.rng.choice(["Dom", "Moto"], N),
            "Liczba wyświetleń": w.rng.integers(0, 900, N),
            "Tytuł": w.texts("rower nowy stary szafa lampa dom"),
        }
    )
    r = pd.DataFrame(
        {
            "Nr zgłoszenia": log["ID zgłoszenia"][w.picked].tolist(),
            "Data weryfikacji": w.reviewed.strftime("%d.%m.%Y"),
            "Weryfikator": w.reviewer,
            "Wynik weryfikacji": np.where(w.wrong, "niezgodna", "zgodna"),
            "Lokalizacja": w.site,
        }
    )
    return Pair(
        "polish_workbook",
        log,
        r,
        {
            "ID zgłoszenia": "decision_id",
            "Data i godzina decyzji": "decided_at",
            "ID ogłoszenia": "item_id",
            "Użytkownik": "account_id",
            "Naruszona zasada": "policy_id",
            "Decyzja systemu": "action",
            "Pewność (%)": "score",
            "Kategoria": "category",
            "Liczba wyświetleń": "exposure",
            "Tytuł": "text",
        },
        {
            "Nr zgłoszenia": "decision_id",
            "Data weryfikacji": "reviewed_at",
            "Weryfikator": "reviewer_id",
            "Wynik weryfikacji": "verdict",
            "Lokalizacja": "site",
        },
        {"sep": ";", "reviews": "w.xlsx"},
    )


def warehouse() -> Pair:
    w = world(35, "Weapons,Drugs,Nudity", "US CA")
    log = pd.DataFrame(
        {
            "dec_id": np.arange(N) + 88000000,
            "dec_dt": w.decided.strftime("%m/%d/%y %H:%M"),
            "itm_id": np.arange(N) + 5500000,
            "usr_id": w.account,
            "plcy_nm": w.policy,
            "actn_cd": np.where(w.enforced, "RMV", "ALW"),
            "mdl_scr": w.score,
            "thrsh": 0.6,
            "mdl_ver": "4.2",
            "mkt_cd": w.market,
            "lang_cd": w.rng.choice(["en", "fr"], N),
            "cat_nm": w.rng.choice(["Toys", "Cars"], N),
            "vw_cnt": w.rng.integers(0, 900, N),
        }
    )
    r = pd.DataFrame(
        {
            "dec_id": log.dec_id[w.picked],
            "rvw_dt": w.reviewed.strftime("%m/%d/%y %H:%M"),
            "rvwr_id": w.reviewer,
            "rvw_rslt": np.where(w.wrong, "INCORRECT", "CORRECT"),
            "site_cd": w.site,
            "rvw_typ": w.rng.choice(["QA", "APPEAL"], len(w.picked)),
            "dur_sec": w.rng.integers(5, 200, len(w.picked)),
        }
    )
    return Pair(
        "warehouse",
        log,
        r,
        {
            "dec_id": "decision_id",
            "dec_dt": "decided_at",
            "itm_id": "item_id",
            "usr_id": "account_id",
            "plcy_nm": "policy_id",
            "actn_cd": "action",
            "mdl_scr": "score",
            "thrsh": "threshold",
            "mdl_ver": "moderator_version",
            "mkt_cd": "market",
            "lang_cd": "language",
            "cat_nm": "category",
            "vw_cnt": "exposure",
        },
        {
            "dec_id": "decision_id",
            "rvw_dt": "reviewed_at",
            "rvwr_id": "reviewer_id",
            "rvw_rslt": "verdict",
            "site_cd": "site",
            "rvw_typ": "source",
            "dur_sec": "minutes",
        },
    )


def events() -> Pair:
    w = world(36, "Misinformation,Harassment", "GB")
    log = pd.DataFrame(
        {
            "eventUuid": _ids("{:032x}"),
            "occurredAt": w.decided.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "contentUuid": _ids("c{:030x}"),
            "authorUuid": [f"u{a}" for a in w.account],
            "policyName": w.policy,
            "verdict": np.where(w.enforced, "violating", "non_violating"),
            "classifierScore": w.score,
            "classifierName": "clf",
            "classifierVersion": "1.2.0",
            "contentLanguage": "en",
            "contentText": w.texts("you people are all so very strange today"),
            "followerCount": w.rng.integers(0, 9999, N),
        }
    )
    r = pd.DataFrame(
        {
            "id": [f"hr{i}" for i in range(len(w.picked))],
            "eventUuid": log.eventUuid[w.picked].tolist(),
            "completedAt": w.reviewed.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "humanVerdict": np.where(w.wrong, "disagree", "agree"),
            "moderatorEmail": [f"{x}@bpo.example" for x in w.reviewer],
            "vendor": w.site,
            "queueName": "random sample",
            "handleTimeSeconds": w.rng.integers(5, 300, len(w.picked)),
        }
    )
    return Pair(
        "events",
        log,
        r,
        {
            "eventUuid": "decision_id",
            "occurredAt": "decided_at",
            "contentUuid": "item_id",
            "authorUuid": "account_id",
            "policyName": "policy_id",
            "verdict": "action",
            "classifierScore": "score",
            "classifierName": "moderator",
            "classifierVersion": "moderator_version",
            "contentLanguage": "language",
            "contentText": "text",
        },
        {
            "id": "review_id",
            "eventUuid": "decision_id",
            "completedAt": "reviewed_at",
            "humanVerdict": "verdict",
            "moderatorEmail": "reviewer_id",
            "vendor": "site",
            "queueName": "source",
            "handleTimeSeconds": "minutes",
        },
        {"log": "l.jsonl", "reviews": "r.jsonl"},
    )


PAIRS: list[Callable[[], Pair]] = [
    flags,
    italian,
    pipeline,
    classifieds,
    audit_workbooks,
    german_workbook,
    french_marketplace,
    spanish_platform,
    polish_workbook,
    warehouse,
    events,
    german,
    french,
    spanish,
    polish,
    bpo,
    camel,
    abbreviated,
    salesforce,
    zendesk,
    audit,
    golden,
    decoys,
]
