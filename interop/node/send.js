// node send.js '{"transport": {...}, "message": {...}}': one letter by nodemailer. Prints the last reply, or the error.
const nodemailer = require("nodemailer");

const { transport, message } = JSON.parse(process.argv[2]);
nodemailer
  .createTransport(transport)
  .sendMail(message)
  .then((info) => console.log(info.response))
  .catch((error) => {
    console.error(error.response || error.message);
    process.exit(1);
  });
