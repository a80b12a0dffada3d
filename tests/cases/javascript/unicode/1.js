console.log("grüße 世界 🎉", "🎉".length, [..."🎉"].length);
"ключ"
