import asyncio
await asyncio.sleep(0, "waited")
