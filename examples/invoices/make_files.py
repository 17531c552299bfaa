"""Invoices as PDF with their values beside them as JSON: two folders that share no vendor, no layout and no wording of all labels.

    python make_files.py [--train 80] [--sealed 40] [--seed 1] [--out .]

Everything is made up and drawn from the seed: names, goods, sums, in four languages, four currencies, six ways to write a date and five to write a sum. The text is in the PDF (nothing is
scanned). Layouts differ in where vendor, customer and facts stand, how facts are named (before, beside or above the value), the order and names of the table's columns, and what else is
printed that nobody asks for: order and customer numbers, telephone, bank account, tax rate, page footer.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

WIDTH, HEIGHT, MARGIN = 595.0, 842.0, 50.0
LAST = HEIGHT - 90  # where a page's lines end, from its top
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Words:
    """One language: each label in three wordings, of which the last stands in sealed invoices alone."""

    title: Sequence[str]
    number: Sequence[str]
    issued: Sequence[str]
    due: Sequence[str]
    to: Sequence[str]
    order: Sequence[str]
    account: Sequence[str]
    phone: Sequence[str]
    description: Sequence[str]
    quantity: Sequence[str]
    price: Sequence[str]
    amount: Sequence[str]
    net: Sequence[str]
    tax: Sequence[str]
    total: Sequence[str]
    thanks: str
    months: Sequence[str]
    goods: Sequence[str]
    streets: Sequence[str]
    towns: Sequence[str]
    forms: Sequence[str]
    rates: Sequence[int]
    currencies: Sequence[str]


LANGUAGES: Mapping[str, Words] = {
    "en": Words(
        ("Invoice", "INVOICE", "Tax Invoice"), ("Invoice no.", "Invoice number", "Reference"), ("Date", "Invoice date", "Issued on"), ("Due date", "Payment due", "Pay by"),
        ("Bill to", "Customer", "Sold to"), ("Order no.", "Your order", "PO number"), ("Account", "Bank account", "Pay into"), ("Phone", "Tel.", "Call us"),
        ("Description", "Item", "Particulars"), ("Qty", "Quantity", "Units"), ("Unit price", "Price", "Rate"), ("Amount", "Line total", "Sum"),
        ("Subtotal", "Net amount", "Total before tax"), ("VAT", "Sales tax", "Tax"), ("Total", "Amount due", "Grand total"), "Thank you for your order.",
        ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"),
        ("Oak table", "Desk lamp, brass", "Garden hose 20 m", "Printer paper A4", "Steel shelf", "Wool blanket", "Coffee beans 1 kg", "Bicycle pump", "Window cleaning", "Paint, white 5 l", "Office chair", "Cable drum", "Hand towel", "Safety gloves", "Water filter", "Tool box"),
        ("Mill Lane", "High Street", "Station Road", "Park Avenue"), ("Leeds", "Bristol", "Denver", "Portland"), ("Ltd", "Inc.", "& Sons", "Trading Co."), (20, 5, 0), ("GBP", "USD"),
    ),
    "de": Words(
        ("Rechnung", "RECHNUNG", "Faktura"), ("Rechnungsnummer", "Rechnung Nr.", "Belegnummer"), ("Rechnungsdatum", "Datum", "Ausgestellt am"), ("Fällig am", "Zahlbar bis", "Zahlungsziel"),
        ("Rechnung an", "Kunde", "Empfänger"), ("Bestellnummer", "Ihre Bestellung", "Auftrag"), ("Konto", "Bankverbindung", "IBAN"), ("Telefon", "Tel.", "Fon"),
        ("Bezeichnung", "Artikel", "Leistung"), ("Menge", "Anzahl", "Stück"), ("Einzelpreis", "Preis", "E-Preis"), ("Betrag", "Gesamt", "Summe"),
        ("Nettobetrag", "Zwischensumme", "Summe netto"), ("MwSt.", "Umsatzsteuer", "USt."), ("Gesamtbetrag", "Rechnungsbetrag", "Zu zahlen"), "Vielen Dank für Ihren Auftrag.",
        ("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"),
        ("Esstisch Eiche", "Schreibtischlampe", "Gartenschlauch 20 m", "Druckerpapier A4", "Stahlregal", "Wolldecke", "Kaffeebohnen 1 kg", "Luftpumpe", "Fensterreinigung", "Wandfarbe weiß 5 l", "Bürostuhl", "Kabeltrommel", "Handtuch", "Schutzhandschuhe", "Wasserfilter", "Werkzeugkasten"),
        ("Mühlweg", "Hauptstraße", "Bahnhofstraße", "Lindenallee"), ("Kassel", "Lübeck", "Bern", "Erfurt"), ("GmbH", "AG", "KG", "e.K."), (19, 7), ("EUR", "EUR", "CHF"),
    ),
    "fr": Words(
        ("Facture", "FACTURE", "Note de frais"), ("Facture n°", "Numéro de facture", "Référence"), ("Date", "Date de facture", "Émise le"), ("Échéance", "À payer avant le", "Payable le"),
        ("Facturé à", "Client", "Destinataire"), ("Commande n°", "Votre commande", "Bon de commande"), ("Compte", "Coordonnées bancaires", "RIB"), ("Téléphone", "Tél.", "Appel"),
        ("Désignation", "Article", "Prestation"), ("Qté", "Quantité", "Unités"), ("Prix unitaire", "Prix", "P.U."), ("Montant", "Total ligne", "Somme"),
        ("Total HT", "Sous-total", "Montant hors taxes"), ("TVA", "Taxe", "Montant TVA"), ("Total TTC", "Net à payer", "À régler"), "Merci de votre confiance.",
        ("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"),
        ("Table en chêne", "Lampe de bureau", "Tuyau d'arrosage 20 m", "Papier A4", "Étagère en acier", "Couverture en laine", "Café en grains 1 kg", "Pompe à vélo", "Nettoyage des vitres", "Peinture blanche 5 l", "Chaise de bureau", "Enrouleur", "Serviette", "Gants de sécurité", "Filtre à eau", "Boîte à outils"),
        ("rue du Moulin", "Grande Rue", "avenue de la Gare", "rue des Lilas"), ("Nantes", "Dijon", "Lausanne", "Reims"), ("SARL", "SA", "SAS", "et Fils"), (20, 10), ("EUR", "CHF"),
    ),
    "es": Words(
        ("Factura", "FACTURA", "Recibo"), ("Factura n.º", "Número de factura", "Referencia"), ("Fecha", "Fecha de factura", "Emitida el"), ("Vencimiento", "Pagar antes del", "Fecha límite"),
        ("Facturar a", "Cliente", "Destinatario"), ("Pedido", "Su pedido", "Orden"), ("Cuenta", "Cuenta bancaria", "Ingresar en"), ("Teléfono", "Tel.", "Llámenos"),
        ("Descripción", "Artículo", "Concepto"), ("Cant.", "Cantidad", "Unidades"), ("Precio unitario", "Precio", "Tarifa"), ("Importe", "Total línea", "Suma"),
        ("Base imponible", "Subtotal", "Importe neto"), ("IVA", "Impuesto", "Cuota de IVA"), ("Total", "Total a pagar", "Importe total"), "Gracias por su compra.",
        ("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"),
        ("Mesa de roble", "Lámpara de mesa", "Manguera 20 m", "Papel A4", "Estantería de acero", "Manta de lana", "Café en grano 1 kg", "Bomba de bicicleta", "Limpieza de ventanas", "Pintura blanca 5 l", "Silla de oficina", "Alargador", "Toalla", "Guantes", "Filtro de agua", "Caja de herramientas"),
        ("calle del Molino", "calle Mayor", "avenida de la Estación", "calle de las Lilas"), ("Burgos", "Toledo", "Cádiz", "Soria"), ("S.L.", "S.A.", "e Hijos", "S.C."), (21, 10), ("EUR",),
    ),
}  # fmt: skip
SYLLABLES = (
    "bar",
    "cor",
    "dan",
    "fel",
    "gor",
    "hal",
    "ker",
    "lin",
    "mar",
    "nor",
    "pel",
    "ros",
    "sal",
    "tor",
    "ver",
    "wil",
)
SIGNS = {"EUR": "€", "USD": "$", "GBP": "£", "CHF": "CHF"}
Sums = Callable[[Decimal], str]


def _group(value: Decimal, thousands: str, point: str) -> str:
    return f"{value:,.2f}".translate({ord(","): thousands, ord("."): point})


SUMS: Mapping[str, Sums] = {
    "1,234.50": lambda value: _group(value, ",", "."),
    "1.234,50": lambda value: _group(value, ".", ","),
    "1 234,50": lambda value: _group(value, "\u00a0", ","),
    "1'234.50": lambda value: _group(value, "'", "."),
    "1234,50": lambda value: _group(value, "", ","),
}
SUMS_OF = {"en": ("1,234.50",), "de": ("1.234,50", "1234,50"), "fr": ("1 234,50", "1234,50"), "es": ("1.234,50",)}


@dataclass(frozen=True)
class Layout:
    """``facts``: label and value in one line, in two columns, or the label above the value. ``columns`` in the order of the table; ``pos``
    numbers the rows, ``unit`` is a column that nobody asks for. ``sum``: where the currency stands."""

    vendor: Literal["left", "right", "centre"]
    facts: Literal["line", "beside", "above"]
    facts_at: Literal["left", "right"]
    columns: tuple[str, ...]
    rules: bool
    sum: Literal["before", "behind", "code", "column"]
    totals: Literal["right", "left"]
    wording: int


TRAIN_LAYOUTS = (
    Layout("left", "line", "right", ("description", "quantity", "price", "amount"), True, "behind", "right", 0),
    Layout("right", "beside", "left", ("pos", "description", "quantity", "price", "amount"), False, "code", "right", 1),
    Layout("centre", "line", "left", ("quantity", "description", "price", "amount"), True, "before", "right", 1),
    Layout("left", "above", "left", ("description", "price", "quantity", "amount"), False, "column", "right", 0),
    Layout("left", "beside", "right", ("pos", "quantity", "description", "price", "amount"), True, "behind", "left", 0),
    Layout("right", "line", "left", ("description", "quantity", "unit", "price", "amount"), True, "code", "right", 1),
)
SEALED_LAYOUTS = (
    Layout(
        "centre", "above", "right", ("pos", "description", "quantity", "price", "amount"), True, "before", "right", 2
    ),
    Layout(
        "right", "beside", "right", ("quantity", "unit", "description", "price", "amount"), False, "code", "left", 0
    ),
    Layout("left", "line", "left", ("pos", "description", "price", "quantity", "amount"), False, "behind", "right", 2),
    Layout("centre", "beside", "left", ("description", "quantity", "price", "amount"), True, "column", "left", 1),
)
WIDTHS = {"pos": 30, "description": 190, "quantity": 60, "unit": 45, "price": 80, "amount": 85}


@dataclass(frozen=True)
class Vendor:
    name: str
    street: str
    town: str
    phone: str
    account: str
    language: str
    layout: Layout
    prefix: str
    sums: str
    dates: int


@dataclass
class Canvas:
    """Pages of text, written from the top; positions in points from the upper left corner."""

    pages: list[list[str]] = field(default_factory=lambda: [[]])

    def text(self, left: float, top: float, said: str, size: float = 10, is_bold: bool = False) -> None:
        shown = said.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        self.pages[-1].append(
            f"BT /{'B' if is_bold else 'F'} {size:g} Tf 1 0 0 1 {left:.1f} {HEIGHT - top - size:.1f} Tm ({shown}) Tj ET"
        )

    def right(self, right: float, top: float, said: str, size: float = 10, is_bold: bool = False) -> None:
        self.text(right - measure(said, size), top, said, size, is_bold)

    def rule(self, top: float) -> None:
        self.pages[-1].append(f"0.5 w {MARGIN:g} {HEIGHT - top:.1f} m {WIDTH - MARGIN:g} {HEIGHT - top:.1f} l S")

    def turn(self) -> None:
        self.pages.append([])


def measure(said: str, size: float) -> float:
    """About as wide as Helvetica sets it."""
    narrow = sum(letter in " .,'ilIjtf:|()-" for letter in said)
    return size * (0.56 * (len(said) - narrow) + 0.28 * narrow)


def main() -> None:
    arguments = _parse()
    for name, count, layouts, offset in (
        ("train", arguments.train, TRAIN_LAYOUTS, 0),
        ("sealed", arguments.sealed, SEALED_LAYOUTS, 1),
    ):
        folder = arguments.out / name
        folder.mkdir(parents=True, exist_ok=True)
        vendors = make_vendors(arguments.seed, layouts, offset)
        for number in range(count):
            draw = random.Random(f"{arguments.seed}/{name}/{number}")
            pdf, truth = make_invoice(draw, vendors[number % len(vendors)], arguments.items)
            (folder / f"{number + 1:04}.pdf").write_bytes(pdf)
            (folder / f"{number + 1:04}.json").write_text(json.dumps(truth, ensure_ascii=False, indent=1), "utf-8")
        sys.stdout.write(f"{folder}: {count} invoices of {min(count, len(vendors))} vendors, {len(layouts)} layouts\n")


def make_vendors(seed: int, layouts: Sequence[Layout], offset: int) -> list[Vendor]:
    """Each language with each layout, twice. Names begin with other syllables in the two folders."""
    draw = random.Random(f"{seed}/vendors/{offset}")
    made: dict[str, Vendor] = {}
    first = SYLLABLES[offset::2]
    wanted = [(language, layout) for layout in layouts for language in LANGUAGES] * 2
    draw.shuffle(wanted)
    for language, layout in wanted:
        words = LANGUAGES[language]
        name = ""
        while not name or name in made:
            name = f"{draw.choice(first)}{draw.choice(SYLLABLES)}{draw.choice(('', 'a', 'o', 'en'))}".title()
            name = f"{name} {draw.choice(words.forms)}"
        made[name] = Vendor(
            name,
            f"{draw.choice(words.streets)} {draw.randint(1, 150)}",
            f"{draw.randint(10000, 99999)} {draw.choice(words.towns)}",
            f"0{draw.randint(100, 999)} {draw.randint(100000, 999999)}",
            f"XX{draw.randint(10, 99)} {draw.randint(1000, 9999)} {draw.randint(1000, 9999)} {draw.randint(1000, 9999)}",
            language,
            layout,
            draw.choice(("", "INV-", "R", "2024-", "F/", "A")),
            draw.choice(SUMS_OF[language]),
            draw.randrange(6),
        )
    return list(made.values())


def make_invoice(draw: random.Random, vendor: Vendor, most_items: int = 6) -> tuple[bytes, dict[str, object]]:
    """The PDF, and what is true of it."""
    words = LANGUAGES[vendor.language]
    issued = date(2023, 1, 1) + timedelta(days=draw.randrange(900))
    due = issued + timedelta(days=draw.choice((7, 14, 30, 45))) if draw.random() < 0.75 else None
    items = [
        _make_item(draw, name) for name in draw.sample(words.goods, draw.randint(1, min(most_items, len(words.goods))))
    ]
    net = sum((item["amount"] for item in items), Decimal(0))
    rate = draw.choice(words.rates)
    tax = (net * rate / 100).quantize(CENT)
    facts = _Facts(
        number=f"{vendor.prefix}{draw.randint(100, 99999)}",
        customer=f"{draw.choice(SYLLABLES)}{draw.choice(SYLLABLES)}".title() + f" {draw.choice(words.forms)}",
        street=f"{draw.choice(words.streets)} {draw.randint(1, 150)}",
        town=f"{draw.randint(10000, 99999)} {draw.choice(words.towns)}",
        order=f"{draw.randint(10000, 99999)}",
        issued=issued,
        due=due,
        currency=draw.choice(words.currencies),
        items=items,
        net=net,
        rate=rate,
        tax=tax,
    )
    return write_pdf(_Drawing(vendor, words, facts).draw().pages), facts.truth(vendor)


def _make_item(draw: random.Random, name: str) -> dict[str, object]:
    quantity = draw.choice((1, 1, 1, 2, 2, 3, 4, 5, 6, 8, 10, 12, 20, 25))
    price = (
        Decimal(draw.choice((draw.randint(150, 9900), draw.randint(1, 90) * 100, draw.randint(100, 1500) * 100))) * CENT
    )
    return {"description": name, "quantity": quantity, "price": price, "amount": quantity * price}


@dataclass(frozen=True)
class _Facts:
    number: str
    customer: str
    street: str
    town: str
    order: str
    issued: date
    due: date | None
    currency: str
    items: Sequence[Mapping[str, object]]
    net: Decimal
    rate: int
    tax: Decimal

    def truth(self, vendor: Vendor) -> dict[str, object]:
        return {
            "number": self.number,
            "vendor": vendor.name,
            "customer": self.customer,
            "issued": self.issued.isoformat(),
            "due": self.due.isoformat() if self.due else None,
            "currency": self.currency,
            "net": float(self.net),
            "tax": float(self.tax),
            "total": float(self.net + self.tax),
            "items": [
                {key: float(value) if isinstance(value, Decimal) else value for key, value in item.items()}
                for item in self.items
            ],
        }


class _Drawing:
    def __init__(self, vendor: Vendor, words: Words, facts: _Facts) -> None:
        self._vendor, self._words, self._facts, self._layout = vendor, words, facts, vendor.layout
        self._canvas = Canvas()

    def draw(self) -> Canvas:
        top = self._draw_facts(self._draw_parties())
        top = self._draw_totals(self._draw_table(top + 20) + 12)
        self._canvas.text(MARGIN, top + 24, self._words.thanks, 9)
        self._draw_foot()
        return self._canvas

    def _label(self, name: str) -> str:
        wordings: Sequence[str] = getattr(self._words, name)
        return wordings[self._layout.wording]

    def _draw_parties(self) -> float:
        vendor, facts, canvas = self._vendor, self._facts, self._canvas
        at = {"left": MARGIN, "right": 370.0, "centre": WIDTH / 2 - measure(vendor.name, 14) / 2}[self._layout.vendor]
        canvas.text(at, 40, vendor.name, 14, is_bold=True)
        for number, said in enumerate((vendor.street, vendor.town)):
            canvas.text(at, 62 + 12 * number, said, 9)
        canvas.text(MARGIN, 120, self._label("to"), 9, is_bold=True)
        for number, said in enumerate((facts.customer, facts.street, facts.town)):
            canvas.text(MARGIN, 134 + 13 * number, said)
        canvas.text(MARGIN, 190, self._label("title"), 18, is_bold=True)
        return 222

    def _draw_facts(self, top: float) -> float:
        facts = [
            (self._label("number"), self._facts.number),
            (self._label("issued"), self._date(self._facts.issued)),
            (self._label("order"), self._facts.order),
        ]
        if self._facts.due:
            facts.insert(2, (self._label("due"), self._date(self._facts.due)))
        at = MARGIN if self._layout.facts_at == "left" else 330.0
        if self._layout.facts == "above":
            for number, (label, value) in enumerate(facts):
                self._canvas.text(MARGIN + 125 * number, top, label, 8, is_bold=True)
                self._canvas.text(MARGIN + 125 * number, top + 12, value)
            return top + 30
        for number, (label, value) in enumerate(facts):
            if self._layout.facts == "line":
                self._canvas.text(at, top + 14 * number, f"{label}: {value}")
            else:
                self._canvas.text(at, top + 14 * number, label)
                self._canvas.text(at + 125, top + 14 * number, value)
        return top + 14 * len(facts)

    def _draw_table(self, top: float) -> float:
        top = self._draw_head(top)
        for number, item in enumerate(self._facts.items, start=1):
            if top > LAST:
                self._canvas.turn()
                top = self._draw_head(60)
            cells = {
                "pos": str(number),
                "description": str(item["description"]),
                "quantity": str(item["quantity"]),
                "unit": {"en": "pcs", "de": "Stk", "fr": "pce", "es": "ud"}[self._vendor.language],
                "price": self._sum(item["price"]),
                "amount": self._sum(item["amount"]),
            }
            self._draw_cells(top, cells)
            top += 17
        if self._layout.rules:
            self._canvas.rule(top)
        return top

    def _draw_head(self, top: float) -> float:
        named = {name: self._label(name) for name in ("description", "quantity", "price", "amount")}
        unit = f" ({self._facts.currency})" if self._layout.sum == "column" else ""
        named |= {"pos": "#", "unit": "", "price": named["price"] + unit, "amount": named["amount"] + unit}
        self._draw_cells(top, named, is_bold=True)
        if self._layout.rules:
            self._canvas.rule(top + 15)
        return top + 20

    def _draw_cells(self, top: float, cells: Mapping[str, str], is_bold: bool = False) -> None:
        left = MARGIN
        for name in self._layout.columns:
            if name in ("price", "amount", "quantity"):
                self._canvas.right(left + WIDTHS[name] - 6, top, cells[name], 9, is_bold)
            else:
                self._canvas.text(left, top, cells[name], 9, is_bold)
            left += WIDTHS[name]

    def _draw_totals(self, top: float) -> float:
        facts = self._facts
        if top > LAST - 60:
            self._canvas.turn()
            top = 60
        rows = [
            (self._label("net"), facts.net),
            (f"{self._label('tax')} {facts.rate} %", facts.tax),
            (self._label("total"), facts.net + facts.tax),
        ]
        at = MARGIN if self._layout.totals == "left" else 320.0
        for number, (label, value) in enumerate(rows):
            is_last = number == len(rows) - 1
            self._canvas.text(at, top + 16 * number, label, is_bold=is_last)
            shown = self._sum(value, is_total=True)
            self._canvas.right(at + 220, top + 16 * number, shown, is_bold=is_last)
        return top + 16 * len(rows)

    def _draw_foot(self) -> None:
        said = f"{self._label('phone')} {self._vendor.phone}   {self._label('account')} {self._vendor.account}"
        for number, _page in enumerate(self._canvas.pages, start=1):
            self._canvas.pages[number - 1].append(
                f"BT /F 8 Tf 1 0 0 1 {MARGIN:g} 40 Tm ({said}   {number}/{len(self._canvas.pages)}) Tj ET"
            )

    def _sum(self, value: object, is_total: bool = False) -> str:
        written = SUMS[self._vendor.sums](Decimal(str(value)))
        sign, code = SIGNS[self._facts.currency], self._facts.currency
        kind = "code" if self._layout.sum == "column" and is_total else self._layout.sum
        return {
            "before": f"{sign} {written}" if sign == code else f"{sign}{written}",
            "behind": f"{written} {sign}",
            "code": f"{code} {written}",
            "column": written,
        }[kind]

    def _date(self, day: date) -> str:
        month = self._words.months[day.month - 1]
        english = self._vendor.language == "en"
        return (
            day.isoformat(),
            f"{day:%d.%m.%Y}" if not english else f"{day.day} {month[:3]} {day.year}",
            {
                "en": f"{month} {day.day}, {day.year}",
                "de": f"{day.day}. {month} {day.year}",
                "fr": f"{day.day} {month} {day.year}",
                "es": f"{day.day} de {month} de {day.year}",
            }[self._vendor.language],
            f"{day.day} {month} {day.year}",
            f"{day:%d.%m.%Y}",
            f"{day:%Y/%m/%d}",
        )[self._vendor.dates]


def write_pdf(pages: Sequence[Sequence[str]]) -> bytes:
    """Pages of drawing operators, set in Helvetica."""
    font = "<< /Type /Font /Subtype /Type1 /BaseFont /{} /Encoding /WinAnsiEncoding >>"
    kids = " ".join(f"{5 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        font.format("Helvetica").encode(),
        font.format("Helvetica-Bold").encode(),
    ]
    for number, page in enumerate(pages):
        drawn = "\n".join(page).encode("cp1252")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH:g} {HEIGHT:g}] "
            f"/Resources << /Font << /F 3 0 R /B 4 0 R >> >> /Contents {6 + 2 * number} 0 R >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn))
    parts, places = [b"%PDF-1.7\n"], []
    for number, content in enumerate(objects, start=1):
        places.append(sum(map(len, parts)))
        parts.append(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    start = sum(map(len, parts))
    entries = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(objects) + 1
    parts.append(b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, entries))
    parts.append(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, start))
    return b"".join(parts)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=80, help="invoices to learn from")
    parser.add_argument("--sealed", type=int, default=40, help="invoices to measure on")
    parser.add_argument("--items", type=int, default=6, help="the most lines of an invoice")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(), help="where the folders go")
    return parser.parse_args()


if __name__ == "__main__":
    main()
