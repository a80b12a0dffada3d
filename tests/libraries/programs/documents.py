"""Pictures, documents and markup."""
import io

import cv2
import lxml.etree
import networkx
import numpy as np
import openpyxl
import sympy
import yaml
from bs4 import BeautifulSoup
from docx import Document
from PIL import Image, ImageDraw, ImageFilter
from pypdf import PdfReader
from reportlab.pdfgen.canvas import Canvas

picture = Image.new("RGB", (200, 100), "white")
ImageDraw.Draw(picture).text((10, 10), "text", fill="black")
for kind in ("PNG", "JPEG", "WEBP", "GIF"):
    out = io.BytesIO()
    picture.filter(ImageFilter.BLUR).save(out, kind)
    assert Image.open(io.BytesIO(out.getvalue())).size == (200, 100)
assert cv2.GaussianBlur(np.zeros((64, 64, 3), "uint8"), (5, 5), 0).shape == (64, 64, 3)
book = openpyxl.Workbook()
book.active["A1"] = "=1+1"
book.save(io.BytesIO())
page = io.BytesIO()
canvas = Canvas(page)
canvas.drawString(100, 100, "hello")
canvas.save()
assert "hello" in PdfReader(io.BytesIO(page.getvalue())).pages[0].extract_text()
document = Document()
document.add_paragraph("hello")
document.save(io.BytesIO())
assert sympy.integrate(sympy.Symbol("x") ** 2) == sympy.Symbol("x") ** 3 / 3
assert networkx.shortest_path_length(networkx.path_graph(10), 0, 9) == 9
assert lxml.etree.fromstring("<a><b/></a>").xpath("count(//b)") == 1
assert BeautifulSoup("<p>x</p>", "lxml").p.text == "x"
assert yaml.safe_load("a: [1, 2]") == {"a": [1, 2]}
print("fine")
